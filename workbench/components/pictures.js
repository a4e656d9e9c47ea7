// props.value = {mode, figures, swipe}; see pictures.py.
const root = element.querySelector('.wb-pictures');
const figures = root.querySelector('.wb-figures'), swipe = root.querySelector('.wb-swipe');
const handle = swipe.querySelector('input');

function figureOf({source, caption}) {
  const figure = document.createElement('figure'), image = document.createElement('img');
  const words = document.createElement('figcaption');
  Object.assign(image, {src: source, alt: caption});
  words.textContent = caption;
  figure.append(image, words);
  return figure;
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
  if (!value) { figures.replaceChildren(); return; }
  root.dataset.mode = value.mode;
  figures.replaceChildren(...(value.figures || []).map(figureOf));
  if (value.swipe) {
    const [under, over] = swipe.querySelectorAll('img');
    Object.assign(under, {src: value.swipe.under, alt: 'Float'});
    Object.assign(over, {src: value.swipe.over, alt: value.swipe.caption});
    swipe.querySelector('figcaption').textContent = value.swipe.caption;
    slide();
  }
  root.dataset.rev = Number(root.dataset.rev || 0) + 1;
}

handle.addEventListener('input', slide);
watch('value', draw);
draw();
