// Draws props.value = {data, layout}; see plot.py. Colours follow the page's theme.
const box = element.querySelector('.plot');
let bound = false, figure = null, rows = null, cell = null, queued = false;

const CONFIG = {displaylogo: false, responsive: false,
  modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d']};
const NARROW = 480; // pixels: slanted names of blocks would cover each other

const colour = (name, fallback) =>
  getComputedStyle(document.body).getPropertyValue(name).trim() || fallback;

function themed(layout) {
  const ink = colour('--body-text-color', '#222'), line = colour('--wb-grid', '#ddd');
  const paper = colour('--background-fill-primary', '#fff');
  const out = {...layout, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    autosize: true, font: {...layout.font, color: ink},
    hoverlabel: {bgcolor: paper, bordercolor: line, font: {color: ink}, align: 'left'}};
  for (const key of Object.keys(layout).filter(k => /^[xy]axis\d*$/.test(k)))
    out[key] = {gridcolor: line, zerolinecolor: line, linecolor: line, ...layout[key]};
  if (matchMedia('(pointer: coarse)').matches) out.dragmode = false;
  if (box.clientWidth < NARROW && out.xaxis?.tickangle < 0)
    Object.assign(out.xaxis, {tickangle: -90, tickfont: {size: 10}});
  return out;
}

function marker() {
  if (!rows || !cell || cell.row < 0) return [];
  const line = {color: '#D55E00', width: 1};
  const mark = (x0, x1, y0, y1, width) => ({type: 'rect', xref: 'x', yref: 'y', x0, x1, y0, y1,
    line: {...line, width}});
  const {row, column} = cell, columns = figure.layout.meta.columns;
  return [
    {...mark(-0.5, columns - 0.5, row, row, 1), type: 'line'},
    {...mark(column, column, -0.5, rows.length - 0.5, 1), type: 'line'},
    mark(column - 0.5, column + 0.5, row - 0.5, row + 0.5, 3),
  ];
}

function choose(row, column) {
  cell = {row, column};
  window.Plotly.relayout(box, {shapes: marker()});
  trigger('select', {index: [row, column], value: rows[row]});
}

function onClick(event) {
  const point = event.points[0];
  if (rows) choose(...point.pointIndex);
  else if (figure.layout.meta.moves === 'x')
    window.dispatchEvent(new CustomEvent('workbench-move', {detail: {to: Math.round(point.x)}}));
  else if (point.customdata !== undefined)
    trigger('select', {index: point.pointIndex, value: point.customdata});
}

function onKey(event) {
  const move = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
  if (!figure || event.target !== box || !move[event.key]) return;
  const [down, right] = move[event.key];
  if (figure.layout.meta.moves) {
    event.preventDefault();
    window.dispatchEvent(new CustomEvent('workbench-move', {detail: {down, right}}));
  }
  if (!rows || !cell) return;
  event.preventDefault();
  const clamp = (value, size) => Math.max(0, Math.min(size - 1, value));
  const columns = figure.layout.meta.columns;
  choose(clamp(Math.max(cell.row, 0) + down, rows.length), clamp(cell.column + right, columns));
}

// Plotly ties clip paths and gradients to the address as it is when it gets a configuration, if the
// page has a base. The address changes with every selection: what they clip would vanish, and given
// its configuration again, Plotly would begin the plot anew.
function untied(work) {
  const base = document.querySelector('base'), href = base?.getAttribute('href');
  base?.removeAttribute('href');
  try { return work(); } finally { if (base && href !== null) base.setAttribute('href', href); }
}

// The room that the plot will take, at once: what lies below it must not move when it is drawn.
function reserve() {
  figure = JSON.parse(props.value || 'null');
  const height = figure?.data && figure.layout.height;
  box.style.minHeight = height ? `${height}px` : '';
}

async function draw() {
  reserve();
  if (!figure && bound) { window.Plotly.purge(box); bound = false; }
  if (!figure || !figure.data || !box.clientWidth || !window.Plotly) return;
  const meta = figure.layout.meta || {};
  rows = meta.rows || null;
  if (rows && window.workbenchCell) follow(window.workbenchCell);
  const layout = themed(figure.layout);
  if (rows) layout.shapes = marker();
  box.setAttribute('aria-label', meta.label || '');
  box.tabIndex = rows || meta.moves ? 0 : -1;
  // No image: plotly's buttons are inside.
  box.setAttribute('role', rows || meta.moves ? 'application' : 'figure');
  const {react} = window.Plotly;
  if (bound) await react(box, figure.data, layout);
  else await untied(() => react(box, figure.data, layout, CONFIG));
  if (!bound) { bound = true; box.on('plotly_click', onClick); }
  box.dataset.rev = Number(box.dataset.rev || 0) + 1;
  box.dispatchEvent(new CustomEvent('workbench-drawn'));
}

// Several reasons to draw in one frame make one drawing.
function schedule() {
  if (queued) return;
  queued = true;
  requestAnimationFrame(() => { queued = false; draw(); });
}

function follow({layer, step}) {
  if (!isAhead()) cell = {row: rows.indexOf(layer), column: step};
}

window.addEventListener('workbench-cell', event => {
  if (!rows || !bound) return;
  follow(event.detail);
  window.Plotly.relayout(box, {shapes: marker()});
});
element.addEventListener('keydown', onKey);
watch('value', schedule);
let width = 0;
new ResizeObserver(() => {
  if (box.clientWidth !== width) { width = box.clientWidth; schedule(); }
}).observe(element);
new MutationObserver(schedule).observe(document.body, {attributeFilter: ['class']});
reserve();
schedule();
