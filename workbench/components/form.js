// props.value = {method, summary, fields, parts} or {loading}; see form.py.
const root = element.querySelector('.wb-form');
const summary = root.querySelector('p'), partsBox = root.querySelector('fieldset');
const groups = root.querySelector('.wb-form-groups');
const id = `wb-form-${Math.random().toString(36).slice(2, 8)}`;
let built = null, inputs = {};

function make(tag, text, kind) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function control(field) {
  if (field.kind === 'choice') {
    const select = make('select');
    for (const choice of field.choices) select.append(new Option(choice, choice));
    return select;
  }
  const input = make('input');
  if (field.kind === 'switch') input.type = 'checkbox';
  else Object.assign(input, {type: 'text', autocomplete: 'off', maxLength: 40});
  if (field.kind === 'whole') input.inputMode = 'numeric';
  if (field.kind === 'number') input.inputMode = 'decimal';
  if (field.optional) input.placeholder = 'none';
  return input;
}

function suggestions(field, input) {
  const list = make('datalist');
  list.id = `${id}-${field.name}-list`;
  for (const choice of field.choices) list.append(new Option(choice, choice));
  input.setAttribute('list', list.id);
  return list;
}

function fieldOf(field) {
  const row = make('div', '', 'wb-field'), label = make('label'), input = control(field);
  const note = make('small', field.limits ? `${field.help} (${field.limits})` : field.help);
  const error = make('p', '', 'wb-field-error'), back = make('button', '', 'wb-field-back');
  input.id = `${id}-${field.name}`;
  input.name = field.name;
  label.htmlFor = input.id;
  note.id = `${input.id}-note`;
  error.id = `${input.id}-error`;
  input.setAttribute('aria-describedby', `${note.id} ${error.id}`);
  back.type = 'button';
  label.append(make('span', field.label));
  row.append(label, input, back, note, error);
  if (field.kind === 'text') row.append(suggestions(field, input));
  const value = () => (field.kind === 'switch' ? input.checked : input.value);
  const kept = inputs[field.name] = {input, error, back, row, base: field.base, typed: false};
  const set = value => {
    kept.typed = false;
    trigger('set', {index: field.name, value});
  };
  input.addEventListener('input', () => { kept.typed = true; });
  input.addEventListener('blur', () => { kept.typed = false; }); // also where nothing was changed
  input.addEventListener('change', () => set(value()));
  back.addEventListener('click', () => {
    input.focus();
    set(kept.base);
  });
  return row;
}

function partOf(part) {
  const label = make('label'), box = make('input');
  box.type = 'checkbox';
  box.name = part.name;
  box.addEventListener('change', () => trigger('part', {index: part.name, value: box.checked}));
  const words = make('span', `without ${part.name}`);
  words.append(make('small', `${part.help} (${part.does})`));
  label.append(box, words);
  return label;
}

function build(value) {
  inputs = {};
  groups.replaceChildren();
  const by = new Map();
  for (const field of value.fields) by.set(field.group, [...(by.get(field.group) || []), field]);
  for (const [name, members] of by) {
    const group = make('fieldset');
    group.append(make('legend', name), ...members.map(fieldOf));
    groups.append(group);
  }
  partsBox.hidden = value.parts.length === 0;
  partsBox.querySelector('div').replaceChildren(...value.parts.map(partOf));
}

// What is being typed, or was set after the question that this answers, stays as it is.
const isNewer = (event, name) => untaken[event].some(([, index]) => index === name);

function fill(value) {
  for (const field of value.fields) {
    const {input, error, back, row, typed} = inputs[field.name];
    inputs[field.name].base = field.base;
    if (typed || isNewer('set', field.name)) continue;
    if (field.kind === 'switch') input.checked = field.value;
    else input.value = field.optional && field.value === 'none' ? '' : field.value;
    error.textContent = field.error;
    input.setAttribute('aria-invalid', String(Boolean(field.error)));
    row.dataset.changed = field.changed;
    back.hidden = !field.changed && !field.error;
    const base = field.kind === 'switch' ? (field.base ? 'on' : 'off') : field.base;
    back.textContent = `back to ${base}`;
  }
  for (const part of value.parts) {
    if (!isNewer('part', part.name)) {
      partsBox.querySelector(`[name="${part.name}"]`).checked = part.out;
    }
  }
}

function draw() {
  const value = JSON.parse(props.value || 'null');
  if (!value) return;
  if (value.loading) {
    summary.textContent = 'Loading the methods …';
    return;
  }
  summary.textContent = value.summary;
  const shape = JSON.stringify([value.method, value.fields.map(f => f.name)]);
  if (shape !== built) { built = shape; build(value); }
  fill(value);
  element.dataset.rev = Number(element.dataset.rev || 0) + 1;
}

watch('value', draw);
draw();
