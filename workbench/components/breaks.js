// Names of layers are long: a line may end after each of their parts.
function broken(text) {
  return String(text).split(/(?<=[._#])(?=[A-Za-z])/).flatMap((part, i) =>
    i ? [document.createElement('wbr'), part] : [part]);
}
