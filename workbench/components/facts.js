// props.value = {title, text, items, late}; see facts.py.
const [heading, sentence, list] = element.querySelectorAll('h3, p, dl');

function make(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function tile({name, value, unit, note}) {
  const group = document.createElement('div');
  const number = make('dd', value);
  if (unit) number.append(make('small', ` ${unit}`));
  group.append(make('dt', name), number);
  if (note) group.append(make('dd', note, 'wb-note'));
  return group;
}

function draw() {
  const value = JSON.parse(props.value || '{}');
  heading.textContent = value.title || '';
  heading.hidden = !value.title;
  sentence.textContent = value.text || '';
  sentence.hidden = !value.text;
  list.replaceChildren(...(value.items || []).map(tile));
  element.dataset.rev = Number(element.dataset.rev || 0) + 1;
  if (value.late) trigger('late', {index: 0, value: null});
}

watch('value', draw);
draw();
