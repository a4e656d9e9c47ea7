// props.value = {lessons, step}; see guide.py.
const $ = selector => element.querySelector(selector);
const opener = $('.wb-guide-open'), panel = $('.wb-guide'), list = $('.wb-guide-list');
const article = $('.wb-guide-step'), words = $('.wb-guide-words');
const PATIENCE = 5000; // milliseconds until a part that does not appear is given up
let step = null, framed = null, wanted = 0;

function show(open) {
  panel.hidden = !open;
  opener.setAttribute('aria-expanded', String(open));
  element.closest('.contain > .column').classList.toggle('wb-guided', open);
  if (open) panel.querySelector('button').focus();
  else { frame(null); opener.focus(); }
}

function turn(glossary) {
  words.hidden = !glossary;
  list.hidden = glossary || step !== null;
  article.hidden = glossary || step === null;
  $('.wb-guide-lessons').setAttribute('aria-pressed', String(!glossary));
  $('.wb-guide-glossary').setAttribute('aria-pressed', String(glossary));
}

function ask(lesson, index) { trigger('select', {index: 0, value: {lesson, step: index}}); }

function entry({name, title, about, minutes}) {
  const item = document.createElement('li'), button = document.createElement('button');
  const [heading, text, time] = ['b', 'span', 'small'].map(tag => document.createElement(tag));
  heading.textContent = title;
  text.textContent = about;
  time.textContent = `about ${minutes} minutes`;
  button.type = 'button';
  button.dataset.lesson = name;
  button.append(heading, text, time);
  button.addEventListener('click', () => ask(name, 0));
  item.append(button);
  return item;
}

function frame(id) {
  if (framed) framed.classList.remove('wb-look');
  framed = id ? document.getElementById(id) : null;
  if (!framed) return;
  framed.classList.add('wb-look');
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  framed.scrollIntoView({block: 'start', behavior: calm ? 'auto' : 'smooth'});
}

// A part on another tab appears some frames after the step that asks for it.
function frameWhenThere(id, since = performance.now(), turnOf = ++wanted) {
  if (turnOf !== wanted) return;
  const part = document.getElementById(id);
  if (part && part.offsetParent && part.clientHeight) frame(id);
  else if (performance.now() - since < PATIENCE)
    setTimeout(() => frameWhenThere(id, since, turnOf), 50);
}

function draw() {
  const value = JSON.parse(props.value || 'null');
  if (!value) return;
  step = value.step;
  if (value.lessons) list.querySelector('ul').replaceChildren(...value.lessons.map(entry));
  turn(false);
  if (!step) { wanted += 1; frame(null); return; }
  $('.wb-guide-heading').textContent = `${step.heading}: ${step.index + 1} of ${step.count}`;
  $('.wb-guide-step h3').textContent = step.title;
  $('.wb-guide-text').textContent = step.text;
  $('.wb-guide-look span').textContent = step.look;
  $('.wb-back').disabled = step.index === 0;
  $('.wb-next').textContent = step.index + 1 === step.count ? 'Finish' : 'Next';
  panel.scrollTop = 0;
  frameWhenThere(step.at);
  element.dataset.rev = Number(element.dataset.rev || 0) + 1;
}

opener.addEventListener('click', () => show(panel.hidden));
$('.wb-guide-close').addEventListener('click', () => show(false));
$('.wb-guide-lessons').addEventListener('click', () => turn(false));
$('.wb-guide-glossary').addEventListener('click', () => turn(true));
$('.wb-back').addEventListener('click', () => ask(step.lesson, step.index - 1));
$('.wb-again').addEventListener('click', () => ask(step.lesson, step.index));
$('.wb-end').addEventListener('click', () => ask(null, 0));
$('.wb-next').addEventListener('click', () =>
  step.index + 1 < step.count ? ask(step.lesson, step.index + 1) : ask(null, 0));
panel.addEventListener('keydown', event => { if (event.key === 'Escape') show(false); });
watch('value', draw);
draw();
