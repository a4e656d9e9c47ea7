// props.value = {model, capture, layers, timesteps, layer, step, plan, query, says}; see bar.py.
const $ = selector => element.querySelector(selector);
const select = $('select'), range = $('input'), link = $('.wb-link');
let timesteps = [], open = null;

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

function remember(query) {
  const kept = new URLSearchParams(location.search), next = new URLSearchParams(query);
  for (const own of ['__theme', 'view']) if (kept.has(own)) next.set(own, kept.get(own));
  history.replaceState(history.state, '', `${location.pathname}?${next}`);
}

function draw() {
  const value = JSON.parse(props.value || 'null');
  if (!value) return;
  open = value.tab;
  if (value.layers) fillLayers(value.layers);
  if (value.timesteps) { timesteps = value.timesteps; range.max = timesteps.length - 1; }
  $('.wb-model').textContent = value.model;
  $('.wb-capture').textContent = value.capture;
  $('.wb-bar-plan b').textContent = value.plan;
  select.value = value.layer;
  if (document.activeElement !== range || value.layers) range.value = value.step;
  showStep(value.step);
  $('.wb-live').textContent = value.says || '';
  if (value.query !== null && value.query !== undefined) remember(value.query);
  window.workbenchCell = {layer: value.layer, step: value.step};
  window.dispatchEvent(new CustomEvent('workbench-cell', {detail: window.workbenchCell}));
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
const TABS = ['explore', 'time', 'shortcuts', 'calibration', 'quantize', 'compare'];
const choose = value => trigger(TABS.find(tab => tab === open), {index: 0, value});

select.addEventListener('change', () => choose({layer: select.value}));
range.addEventListener('input', () => {
  showStep(range.value);
  choose({step: Number(range.value)});
});
link.addEventListener('click', copy);
watch('value', draw);
draw();
