// props.value = {names, prefix, counts, most, empty} or null; see bars.py.
const $ = selector => element.querySelector(selector);
const plot = $('.wb-bars-plot'), cells = $('.wb-bars-cells'), total = $('.wb-bars-axis b');
const WAIT = 150; // milliseconds of quiet before a change is sent
let names = [], prefix = '', counts = [], most = 1, ceiling = 4, dragged = null, waiting = null, last = null;

const clamp = value => Math.max(0, Math.min(most, Math.round(value) || 0));

function make(tag, kind, text = '') {
  const made = document.createElement(tag);
  made.className = kind;
  made.textContent = text;
  return made;
}

function bar(name, index) {
  const made = make('div', 'wb-bars-bar'), labelled = index % Math.ceil(names.length / 12) === 0;
  made.append(make('b', ''), make('i', ''), make('span', '', labelled ? name : ''));
  made.setAttribute('role', 'slider');
  made.setAttribute('aria-orientation', 'vertical');
  made.setAttribute('aria-label', `samples at ${prefix}${name}`);
  made.setAttribute('aria-valuemin', 0);
  made.tabIndex = index ? -1 : 0;
  made.dataset.index = index;
  return made;
}

function cell(name, index) {
  const label = make('label', ''), input = make('input', '');
  Object.assign(input, {type: 'number', min: 0, step: 1, max: most});
  input.addEventListener('input', () => change(index, Number(input.value)));
  input.addEventListener('change', () => { input.value = counts[index]; });
  label.append(make('span', '', prefix + name), input);
  return label;
}

function build() {
  plot.replaceChildren(...names.map(bar));
  cells.replaceChildren(...names.map(cell));
  plot.dataset.dense = names.length > 16;
}

// The height of the tallest bar leaves room to drag upwards; it stays put while one is dragged.
function rescale() {
  const tallest = Math.max(...counts, 1);
  if (tallest > 0.9 * ceiling || tallest < 0.4 * ceiling) ceiling = Math.max(4, 1.5 * tallest);
}

function show() {
  if (!dragged) rescale();
  [...plot.children].forEach((one, index) => {
    one.querySelector('i').style.height = `${100 * Math.min(1, counts[index] / ceiling)}%`;
    one.querySelector('b').textContent = counts[index];
    one.setAttribute('aria-valuenow', counts[index]);
    one.setAttribute('aria-valuemax', most);
  });
  [...cells.querySelectorAll('input')].forEach((input, index) => {
    if (document.activeElement !== input) input.value = counts[index];
  });
  const sum = counts.reduce((a, b) => a + b, 0);
  total.textContent = `${sum} samples at ${counts.filter(n => n > 0).length} of ${counts.length} ` +
    'timesteps';
}

function change(index, value) {
  if (clamp(value) === counts[index]) return;
  counts[index] = clamp(value);
  show();
  clearTimeout(waiting);
  waiting = setTimeout(send, WAIT);
}

function send() {
  waiting = null;
  if (dragged) { waiting = setTimeout(send, WAIT); return; }
  trigger('select', {index: 0, value: {counts: [...counts]}});
}

function focus(index) {
  const bars = [...plot.children], next = bars[Math.max(0, Math.min(bars.length - 1, index))];
  bars.forEach(one => { one.tabIndex = one === next ? 0 : -1; });
  next.focus();
}

function onKey(event) {
  const index = Number(event.target.dataset.index);
  const steps = {ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5, Home: -most, End: most};
  const moves = {ArrowLeft: -1, ArrowRight: 1};
  if (event.key in steps) change(index, counts[index] + steps[event.key]);
  else if (event.key in moves) focus(index + moves[event.key]);
  else if (/^[0-9]$/.test(event.key)) type(index, event.key);
  else return;
  event.preventDefault();
}

// Digits that follow each other closely are one number.
function type(index, digit) {
  const now = Date.now(), goes = last && last.index === index && now - last.at < 1200;
  last = {index, at: now, text: (goes ? last.text : '') + digit};
  change(index, Number(last.text));
}

function paint(event) {
  const box = plot.getBoundingClientRect(), area = plot.children[0].querySelector('i');
  const bottom = area.getBoundingClientRect().bottom, top = box.top + 18;
  const column = Math.floor((event.clientX - box.left) / box.width * counts.length);
  const at = Math.max(0, Math.min(counts.length - 1, column));
  change(at, ceiling * (bottom - event.clientY) / (bottom - top));
}

plot.addEventListener('keydown', onKey);
plot.addEventListener('pointerdown', event => {
  if (event.button || !counts.length) return;
  dragged = [...counts];
  plot.setPointerCapture(event.pointerId);
  paint(event);
});
plot.addEventListener('pointermove', event => { if (dragged) paint(event); });
plot.addEventListener('pointerup', () => { dragged = null; show(); });
plot.addEventListener('pointercancel', () => { // the page was scrolled, no bar was meant
  if (dragged) counts = dragged;
  dragged = null;
  clearTimeout(waiting);
  show();
});

function receive() {
  const value = JSON.parse(props.value || 'null');
  if (!value || dragged || waiting || isAhead()) return;
  $('.wb-bars-empty').hidden = !value.empty;
  $('.wb-bars-empty').textContent = value.empty || '';
  for (const part of [plot, $('.wb-bars-axis'), $('details')]) part.hidden = Boolean(value.empty);
  const rebuilt = JSON.stringify(value.names) !== JSON.stringify(names);
  ({names, prefix, counts, most} = value);
  if (rebuilt) build();
  show();
  element.dataset.rev = Number(element.dataset.rev || 0) + 1;
}

watch('value', receive);
receive();
