// props.value = {title, text, items, notes, late}; see facts.py.
const [heading, sentence, list, remarks] = element.querySelectorAll('h3, p, dl, ul');

function make(tag, text, kind) {
  const made = document.createElement(tag);
  made.append(...broken(text));
  if (kind) made.className = kind;
  return made;
}

function tile({name, value, unit, note}) {
  const group = document.createElement('div');
  const number = document.createElement('dd');
  number.textContent = value;
  if (unit) number.append(make('small', ` ${unit}`));
  group.append(make('dt', name), number);
  if (note) group.append(make('dd', note, 'wb-note'));
  return group;
}

function draw() {
  const value = JSON.parse(props.value || '{}');
  heading.replaceChildren(...broken(value.title || ''));
  heading.hidden = !value.title;
  sentence.textContent = value.text || '';
  sentence.hidden = !value.text;
  list.replaceChildren(...(value.items || []).map(tile));
  remarks.replaceChildren(...(value.notes || []).map(text => make('li', text)));
  remarks.hidden = !remarks.children.length;
  element.dataset.rev = Number(element.dataset.rev || 0) + 1;
  if (value.late) trigger('late', {index: 0, value: null});
}

watch('value', draw);
draw();
