// props.value = {files: [{name, label, type, text}]} or null; see downloads.py.
const box = element.querySelector('.wb-downloads');
let addresses = [];

function link({name, label, type, text}) {
  const made = document.createElement('a');
  made.href = URL.createObjectURL(new Blob([text], {type}));
  made.download = name;
  made.textContent = label;
  addresses.push(made.href);
  return made;
}

function draw() {
  const value = JSON.parse(props.value || 'null');
  addresses.forEach(address => URL.revokeObjectURL(address));
  addresses = [];
  box.hidden = !value;
  box.replaceChildren(...(value ? value.files : []).map(link));
  element.dataset.rev = Number(element.dataset.rev || 0) + 1;
}

watch('value', draw);
draw();
