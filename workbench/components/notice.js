// props.value = {text, kind} or null; see facts.py.
const box = element.querySelector('.wb-notice');

function draw() {
  const value = JSON.parse(props.value || 'null');
  box.textContent = value ? value.text : '';
  box.className = value && value.text ? `wb-notice wb-${value.kind}` : 'wb-notice';
}

watch('value', draw);
draw();
