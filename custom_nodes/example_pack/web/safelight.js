// The editor imports this module and calls what it exports. A widget is named by an input: In(widget="example_pack.swatches").
// Its value is the JSON that the prompt gets, here a text such as "#264653 #e9c46a".

export default (editor) => {
  editor.widget("example_pack.swatches", {
    mount(element, state) {
      const row = document.createElement("div");
      row.style.cssText = "display: flex; gap: 2px; height: 26px;";
      const choice = document.createElement("select");
      choice.style.cssText = "width: 100%; height: 24px; margin-top: 4px;";
      choice.setAttribute("aria-label", "A ready palette");
      element.append(row, choice);

      const fields = () => [...row.querySelectorAll("input")];
      const changed = () => state.setValue(fields().map((field) => field.value).join(" "));

      const show = (value, { readOnly }) => {
        const colors = String(value).match(/#[0-9a-f]{6}/gi) ?? [];
        while (row.children.length > colors.length) row.lastChild.remove();
        while (row.children.length < colors.length) row.append(swatch(row.children.length, changed, state));
        fields().forEach((field, index) => {
          if (field.value !== colors[index].toLowerCase()) field.value = colors[index];
          field.disabled = readOnly;
        });
        choice.disabled = readOnly;
      };

      choice.onchange = async () => {
        const answer = await editor.fetch(`/example_pack/palettes/${encodeURIComponent(choice.value)}`);
        const { colors } = await answer.json();
        state.setValue(colors); // undo, saving and the prompt follow by themselves
        state.done(); // the next change is an undo step of its own
        choice.value = "";
      };
      offer(editor, choice);
      show(state.value, state);
      return { update: show }; // called with the value and the state when something else changed it
    },
  });

  editor.onMessage("example_pack.slept", ({ node, seconds }) => {
    console.info(`Node ${node} slept for ${seconds} s.`);
  });
};

/** A field for one colour. */
function swatch(index, changed, state) {
  const field = document.createElement("input");
  field.type = "color";
  field.setAttribute("aria-label", `Colour ${index + 1}`);
  field.style.cssText = "flex: 1; min-width: 0; height: 100%; padding: 0; border: 0;";
  field.oninput = changed; // many while the mouse moves: they join to one undo step
  field.onchange = () => state.done();
  return field;
}

/** Fill the list with the palettes that the pack's route tells. */
async function offer(editor, choice) {
  choice.append(new Option("Take a ready palette…", ""));
  const answer = await editor.fetch("/example_pack/palettes");
  if (answer.ok) for (const name of await answer.json()) choice.append(new Option(name, name));
}
