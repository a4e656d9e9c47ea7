// props.value = {turn, model, capture, layers, timesteps, layer, step, plan, tab, query, says,
// answer}; see bar.py.
const $ = selector => element.querySelector(selector);
const select = $('select'), range = $('input'), link = $('.wb-link');
let timesteps = [], open = null, turn = 0;

function fillLayers(layers) {
  select.replaceChildren();
  let group = null;
  for (const {name, block, kind} of layers) {
    if (!group || group.label !== block) {
      group = document.createElement('optgroup');
      group.label = block;
      select.append(group);
    }
    const option = document.createElement('option');
    option.value = name;
    option.textContent = `${name} (${kind})`;
    group.append(option);
  }
}

function showStep(step) {
  $('.wb-bar-step b').textContent = `t = ${timesteps[step]}`;
  range.setAttribute('aria-valuetext', `timestep ${timesteps[step]}`);
}

// What is changed many times a second makes one step of the browser's history.
const RAPID = {t: 1000, own: 1000, keep: 1000, find: 1000, layer: 250}; // milliseconds
let written = {keys: '', at: 0}, awaited = null, asked = 0;

function changedKeys(next) {
  const now = new URLSearchParams(location.search);
  return [...new Set([...now.keys(), ...next.keys()])].filter(k => now.get(k) !== next.get(k));
}

function remember({query, answer}) {
  const kept = new URLSearchParams(location.search), next = new URLSearchParams(query);
  for (const own of ['__theme', 'view']) if (kept.has(own)) next.set(own, kept.get(own));
  if (awaited !== null && answer !== awaited) return; // the page is on its way back
  const keys = changedKeys(next).join(), now = performance.now();
  const rapid = keys === written.keys && now - written.at < (RAPID[keys] || 0);
  const first = !written.at || awaited !== null;
  awaited = null;
  if (keys) written = {keys, at: now};
  written.at = written.at || now;
  if (!keys) return;
  const address = `${location.pathname}?${next}`;
  if (first || rapid) history.replaceState(history.state, '', address);
  else history.pushState(history.state, '', address);
}

function goBack() {
  const number = awaited = ++asked;
  trigger('address', {index: number, value: location.search});
  setTimeout(() => { if (awaited === number) awaited = null; }, 5000);
}

function showSelected({layer, step, layers}) {
  select.value = layer;
  if (document.activeElement !== range || layers) range.value = step;
  showStep(step);
  window.workbenchCell = {layer, step};
  window.dispatchEvent(new CustomEvent('workbench-cell', {detail: window.workbenchCell}));
}

function draw() {
  const value = JSON.parse(props.value || 'null');
  if (!value || (value.turn < turn && !value.layers)) return; // a slow answer to an old question
  turn = value.turn;
  open = value.tab;
  if (value.layers) fillLayers(value.layers);
  if (value.timesteps) { timesteps = value.timesteps; range.max = timesteps.length - 1; }
  $('.wb-model').textContent = value.model;
  $('.wb-capture').textContent = value.capture;
  $('.wb-bar-plan b').textContent = value.plan;
  $('.wb-live').textContent = value.says || '';
  if (value.query !== null && value.query !== undefined) remember(value);
  if (value.layers || !isAhead()) showSelected(value);
  element.dataset.rev = Number(element.dataset.rev || 0) + 1;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(location.href);
    link.textContent = 'Link copied';
  } catch {
    window.prompt('Copy this link:', location.href); // no clipboard without https or permission
  }
  setTimeout(() => { link.textContent = 'Copy link'; }, 2000);
}

// An event of its own for every tab; Gradio finds these names here.
const TABS = ['explore', 'time', 'shortcuts', 'calibration', 'quantize', 'compare', 'sweep'];
const choose = value => trigger(TABS.find(tab => tab === open), {index: 0, value});

select.addEventListener('change', () => choose({layer: select.value}));
range.addEventListener('input', () => {
  showStep(range.value);
  choose({step: Number(range.value)});
});
link.addEventListener('click', copy);
window.addEventListener('popstate', goBack);
window.addEventListener('workbench-move', ({detail: {down, right, to}}) => {
  const within = (value, last) => String(Math.max(0, Math.min(last, value)));
  if (right || to !== undefined) {
    range.value = within(to ?? Number(range.value) + right, timesteps.length - 1);
    range.dispatchEvent(new Event('input'));
  } else {
    select.selectedIndex = within(select.selectedIndex + down, select.options.length - 1);
    select.dispatchEvent(new Event('change'));
  }
});
watch('value', draw);
draw();
