// props.value = {frames, strips, labels}; see player.py.
const root = element.querySelector('.wb-player'), handle = root.querySelector('input');
const button = root.querySelector('button'), label = root.querySelector('p');
const figures = root.querySelector('.wb-figures');
const PACE = 120; // milliseconds a frame
let value = null, shown = [], timer = null;

function stripOf({source, caption}) {
  const figure = document.createElement('figure'), canvas = document.createElement('canvas');
  const words = document.createElement('figcaption'), image = new Image();
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', caption);
  words.textContent = caption;
  figure.append(canvas, words);
  figures.append(figure);
  image.onload = () => {
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight / value.frames;
    show();
  };
  image.src = source;
  return {canvas, image};
}

function show() {
  const frame = Number(handle.value);
  for (const {canvas, image} of shown) {
    if (!image.complete || !canvas.width) continue;
    const {width, height} = canvas;
    canvas.getContext('2d').drawImage(image, 0, frame * height, width, height, 0, 0, width, height);
  }
  label.textContent = value.labels[frame];
  handle.setAttribute('aria-valuetext', value.labels[frame]);
  root.dataset.frame = frame;
}

function stop() {
  clearInterval(timer);
  timer = null;
  button.textContent = 'Play';
}

function play() {
  if (timer) { stop(); return; }
  if (Number(handle.value) >= value.frames - 1) handle.value = 0;
  button.textContent = 'Pause';
  timer = setInterval(() => {
    handle.value = Number(handle.value) + 1;
    show();
    if (Number(handle.value) >= value.frames - 1) stop();
  }, PACE);
}

function draw() {
  value = JSON.parse(props.value || 'null');
  stop();
  root.hidden = !value;
  figures.replaceChildren();
  if (!value) { shown = []; return; }
  handle.max = value.frames - 1;
  shown = value.strips.map(stripOf);
  show();
  root.dataset.rev = Number(root.dataset.rev || 0) + 1;
}

handle.addEventListener('input', () => { stop(); show(); });
button.addEventListener('click', play);
watch('value', draw);
draw();
