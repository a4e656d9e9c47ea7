// props.value = {state, percent, text} or null; see progress.py.
const root = element.querySelector('.wb-progress');
const bar = root.querySelector('progress'), text = root.querySelector('p');

function draw() {
  const value = JSON.parse(props.value || 'null');
  root.hidden = !value;
  if (!value) return;
  root.dataset.state = value.state;
  bar.hidden = value.state !== 'running' && value.state !== 'queued';
  if (value.percent === null || value.percent === undefined) bar.removeAttribute('value');
  else bar.value = value.percent;
  text.textContent = value.text;
}

watch('value', draw);
draw();
