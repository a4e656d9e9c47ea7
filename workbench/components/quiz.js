// props.value = {number, question, a, b, last, score}; see quiz.py.
const root = element.querySelector('.wb-quiz');
const [question, last, score] = root.querySelectorAll('p');
const [a, b] = root.querySelectorAll('figure'), again = root.querySelector('.wb-quiz-again');
let value = null, answered = null; // whose button keeps the keyboard's focus

function put(figure, source) {
  if (source) figure.querySelector('img').src = source;
  else figure.querySelector('img').removeAttribute('src');
  figure.querySelector('button').disabled = false;
}

function answer(side) {
  answered = side === 'a' ? a : b;
  for (const figure of [a, b]) figure.querySelector('button').disabled = true;
  trigger('answer', {index: value.number, value: side});
}

function draw() {
  value = JSON.parse(props.value || 'null');
  root.hidden = !value;
  if (!value) return;
  question.textContent = value.question;
  last.textContent = value.last;
  score.textContent = value.score;
  root.querySelector('.wb-figures').hidden = !value.a;
  put(a, value.a);
  put(b, value.b);
  if (answered) (value.a ? answered.querySelector('button') : again).focus();
  answered = null;
  root.dataset.number = value.number;
  root.dataset.rev = Number(root.dataset.rev || 0) + 1;
}

a.querySelector('button').addEventListener('click', () => answer('a'));
b.querySelector('button').addEventListener('click', () => answer('b'));
again.addEventListener('click', () => trigger('again', {index: 0, value: null}));
watch('value', draw);
draw();
