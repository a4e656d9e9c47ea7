// Draws every figure in the colours of the reader's theme, again when that or the width changes.
const plots = [...document.querySelectorAll('.plot')].map(box => {
  const source = box.querySelector('script');
  const figure = JSON.parse(source.textContent);
  source.remove();
  return {box, figure};
});
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function draw() {
  for (const {box, figure} of plots) {
    const ink = colour('--ink'), line = colour('--line');
    const layout = {...figure.layout, autosize: true, font: {color: ink, size: 13},
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
      hoverlabel: {bgcolor: colour('--paper'), bordercolor: line, font: {color: ink}}};
    for (const key of ['xaxis', 'yaxis'])
      layout[key] = {gridcolor: line, zerolinecolor: line, linecolor: line, ...layout[key]};
    Plotly.react(box, figure.data, layout, {displaylogo: false, responsive: true});
  }
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
draw();
