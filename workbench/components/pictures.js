// props.value = {mode, float, quantized, difference, captions}; see pictures.py.
const root = element.querySelector('.wb-pictures');
const [left, right, swipe] = root.querySelectorAll('figure');
const handle = swipe.querySelector('input');

function put(figure, source, caption) {
  figure.querySelector('img').src = source;
  figure.querySelector('img').alt = caption;
  figure.querySelector('figcaption').textContent = caption;
}

function slide() {
  const share = `${handle.value}%`;
  swipe.querySelectorAll('img')[1].style.clipPath = `inset(0 0 0 ${share})`;
  swipe.querySelector('i').style.left = share;
  handle.setAttribute('aria-valuetext', `${handle.value} % float`);
}

function draw() {
  const value = JSON.parse(props.value || 'null');
  root.hidden = !value;
  if (!value) return;
  const {captions} = value;
  root.dataset.mode = value.mode;
  put(left, value.float, captions.float);
  if (value.mode === 'difference') put(right, value.difference, captions.difference);
  else put(right, value.quantized, captions.quantized);
  const [under, over] = swipe.querySelectorAll('img');
  Object.assign(under, {src: value.float, alt: captions.float});
  Object.assign(over, {src: value.quantized, alt: captions.quantized});
  swipe.querySelector('figcaption').textContent = captions.swipe;
  slide();
  root.dataset.rev = Number(root.dataset.rev || 0) + 1;
}

handle.addEventListener('input', slide);
watch('value', draw);
draw();
