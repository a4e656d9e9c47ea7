// Two handles at layout.meta.clip = [low, high], over the plot that plot.js draws; see plot.py.
const handles = [...element.querySelectorAll('.wb-clip')];
const STEP = 0.01, LEAP = 0.1; // of the axis, for a key
let ends = null, held = null, waiting = false, late = null, told = 0;

const axes = () => box._fullLayout || {};
const short = value => Number(value.toPrecision(3));

function place() {
  const {xaxis, yaxis} = axes();
  handles.forEach((handle, side) => {
    handle.hidden = !ends || !xaxis;
    if (handle.hidden) return;
    const x = xaxis.d2p(ends[side]), [low, high] = xaxis.range;
    handle.hidden = x < -1 || x > xaxis._length + 1;
    handle.style.left = `${xaxis._offset + x}px`;
    handle.style.top = `${yaxis._offset}px`;
    handle.style.height = `${yaxis._length}px`;
    handle.dataset.side = side ? 'high' : 'low';
    handle.setAttribute('aria-label', side ? 'Clip above' : 'Clip below');
    handle.setAttribute('aria-valuemin', short(side ? 0 : low));
    handle.setAttribute('aria-valuemax', short(side ? high : 0));
    handle.setAttribute('aria-valuenow', short(ends[side]));
    handle.setAttribute('aria-valuetext', `${short(ends[side])} activation units`);
  });
}

// 0 stays inside the range, and something beside it.
function move(side, value) {
  const [low, high] = axes().xaxis.range, least = 0.002 * (high - low);
  const size = Math.max(side ? value : -value, 0);
  if (figure.layout.meta.mirrored) ends = [-Math.max(size, least), Math.max(size, least)];
  else ends[side] = (side ? 1 : -1) * Math.max(size, ends[1 - side] ? 0 : least);
  place();
}

// One request at a time: what comes while it is under way waits, and the newest wins. They are
// counted, for the last one may reach the server after the handle was let go.
function sendDrag() {
  if (waiting) { late = true; return; }
  waiting = true;
  late = false;
  trigger('drag', {index: ++told, value: [...ends]});
  setTimeout(answered, 1000);
}

function answered() {
  if (!waiting) return;
  waiting = false;
  if (late && held !== null) sendDrag();
}

const settle = () => trigger('clip', {index: ++told, value: [...ends]});

handles.forEach((handle, side) => {
  handle.addEventListener('pointerdown', event => {
    event.preventDefault();
    handle.focus();
    handle.setPointerCapture(event.pointerId);
    held = side;
  });
  handle.addEventListener('pointermove', event => {
    if (held !== side) return;
    const {xaxis} = axes(), left = box.getBoundingClientRect().left + xaxis._offset;
    move(side, xaxis.p2d(Math.max(0, Math.min(xaxis._length, event.clientX - left))));
    sendDrag();
  });
  handle.addEventListener('lostpointercapture', () => {
    if (held !== side) return;
    held = null;
    settle();
  });
  handle.addEventListener('keydown', event => {
    const [low, high] = axes().xaxis.range, share = event.shiftKey ? LEAP : STEP;
    const by = {ArrowLeft: -share, ArrowDown: -share, ArrowRight: share, ArrowUp: share,
      PageDown: -LEAP, PageUp: LEAP}[event.key];
    const to = {Home: side ? 0 : low, End: side ? high : 0}[event.key];
    if (by === undefined && to === undefined) return;
    event.preventDefault();
    move(side, to === undefined ? ends[side] + by * (high - low) : to);
    settle();
  });
});

let listening = false;
box.addEventListener('workbench-drawn', () => {
  if (!listening) { listening = true; box.on('plotly_afterplot', place); }
  if (held === null) ends = figure.layout.meta.clip ? [...figure.layout.meta.clip] : null;
  place();
  answered();
});
