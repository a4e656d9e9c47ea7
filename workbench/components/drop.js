// props.value = {upload, panel}; see drop.py.
const sign = element.querySelector('.wb-drop');
const {upload: receiver, panel} = JSON.parse(props.value);
const PATIENCE = 3000; // milliseconds until a panel that does not open is given up
let inside = 0; // a drag enters and leaves every element that it passes

const holdsFiles = event => [...(event.dataTransfer?.types || [])].includes('Files');
const input = () => document.querySelector(`#${receiver} input[type=file]`);

function hand(files, since = performance.now()) {
  const box = input();
  if (box) {
    box.files = files;
    box.dispatchEvent(new Event('change', {bubbles: true}));
  } else if (performance.now() - since < PATIENCE) setTimeout(() => hand(files, since), 50);
}

function hover(change) {
  inside = Math.max(0, inside + change);
  sign.hidden = inside === 0;
}

window.addEventListener('dragenter', event => { if (holdsFiles(event)) hover(1); });
window.addEventListener('dragleave', event => { if (holdsFiles(event)) hover(-1); });
window.addEventListener('dragover', event => { if (holdsFiles(event)) event.preventDefault(); });
window.addEventListener('drop', event => {
  hover(-Infinity);
  const onUpload = event.target.closest && event.target.closest(`#${receiver}`);
  if (!holdsFiles(event) || onUpload) return;
  event.preventDefault();
  if (!input()) document.querySelector(`#${panel} button`).click();
  hand(event.dataTransfer.files);
});
