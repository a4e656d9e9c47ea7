// What a visitor does is kept until the server takes it. While an event is under way Gradio holds
// the next ones back, and then repeats the first with its old data.
const untaken = Object.fromEntries(HEARD.map(event => [event, []]));
(window.workbenchTold ??= {})[PART] = untaken;
{
  const send = trigger;
  trigger = (event, data) => {
    untaken[event]?.push([data.value, data.index]);
    send(event, data);
  };
}

// While there is more to take, an answer is to something older.
const isAhead = () => Object.values(untaken).some(events => events.length);
