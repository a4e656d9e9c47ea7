// props.value = {caption, columns, rows, keys, selected}; see table.py.
const root = element.querySelector('.wb-table');
const head = root.querySelector('thead tr'), body = root.querySelector('tbody');
let order = null; // {column, up}
let value = null, content = null;

function shown(value) {
  if (value === null || value === undefined) return '–';
  if (typeof value !== 'number') return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
}

// A cell that is {value, plan} holds bits that can be chosen: an empty choice follows the plan.
function choiceOf(bits, {title, choices}, row, column) {
  const select = document.createElement('select');
  const plan = choices.find(([key]) => key === String(bits.plan));
  select.append(new Option(`plan: ${plan ? plan[1] : bits.plan}`, ''));
  for (const [key, label] of choices) select.append(new Option(label, key));
  select.value = bits.value === null ? '' : String(bits.value);
  select.setAttribute('aria-label', `${title} bits of ${value.keys[row]}`);
  Object.assign(select.dataset, {cell: `${row} ${column}`, own: bits.value !== null});
  for (const event of ['click', 'keydown']) select.addEventListener(event, e => e.stopPropagation());
  select.addEventListener('change', () =>
    trigger('input', {index: [value.keys[row], column], value: select.value}));
  return select;
}

const isChoice = cell => cell !== null && typeof cell === 'object';
const sortable = cell => (isChoice(cell) ? cell.value ?? cell.plan : cell);

function cellOf(content, row, column) {
  const cell = document.createElement('td');
  if (isChoice(content)) cell.append(choiceOf(content, value.columns[column], row, column));
  else cell.append(...broken(shown(content)));
  if (typeof content === 'number') cell.className = 'wb-number';
  return cell;
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));
}

function header(column, index) {
  const cell = document.createElement('th'), button = document.createElement('button');
  cell.scope = 'col';
  button.type = 'button';
  button.textContent = column.title + (column.unit ? ` (${column.unit})` : '');
  if (order && order.column === index) {
    cell.setAttribute('aria-sort', order.up ? 'ascending' : 'descending');
  }
  button.addEventListener('click', () => {
    order = {column: index, up: !(order && order.column === index && order.up)};
    draw();
  });
  cell.append(button);
  return cell;
}

function rowOf(index) {
  const {rows, keys, selected} = value, row = document.createElement('tr');
  row.append(...rows[index].map((cell, column) => cellOf(cell, index, column)));
  if (!keys) return row;
  const pick = () => trigger('select', {index, value: keys[index]});
  row.tabIndex = 0;
  row.setAttribute('aria-selected', String(keys[index] === selected));
  row.dataset.index = index;
  row.addEventListener('click', pick);
  row.addEventListener('keydown', event => { if (event.key === 'Enter') pick(); });
  return row;
}

// Rows that stay the same stay in place, and with them the keyboard's focus.
function markSelected() {
  for (const row of body.children) {
    const chosen = value.keys && value.keys[row.dataset.index] === value.selected;
    if (value.keys) row.setAttribute("aria-selected", String(chosen));
  }
}

function receive() {
  value = JSON.parse(props.value || 'null');
  root.hidden = !value;
  if (!value) return;
  const next = JSON.stringify({...value, selected: null});
  if (next === content) markSelected();
  else { content = next; draw(); }
}

function draw() {
  root.querySelector('caption').textContent = value.caption || '';
  root.setAttribute('aria-label', value.caption || 'Table');
  head.replaceChildren(...value.columns.map(header));
  const indices = value.rows.map((_, index) => index);
  if (order) {
    const sign = order.up ? 1 : -1;
    indices.sort((a, b) => sign * compare(
      sortable(value.rows[a][order.column]), sortable(value.rows[b][order.column])));
  }
  const active = document.activeElement?.dataset?.cell; // a choice is not lost by making it
  body.replaceChildren(...indices.map(rowOf));
  if (active) body.querySelector(`[data-cell="${active}"]`)?.focus();
  element.dataset.rev = Number(element.dataset.rev || 0) + 1;
}

watch('value', receive);
receive();
