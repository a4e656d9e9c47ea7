// What a visitor does is kept until the server takes it. While an event is under way Gradio holds
// the next ones back, and then repeats the first with its old data.
{
  const send = trigger, told = {};
  (window.workbenchTold ??= {})[PART] = told;
  trigger = (event, data) => {
    (told[event] ??= []).push([data.value, data.index]);
    send(event, data);
  };
}
