"use strict";
// Runs a workflow from its form: what is filled in goes as the fields of a form, what happens comes as events. Beside it stands
// the request that a program would send for the same.
for (const form of document.querySelectorAll("form.run")) {
  const state = form.querySelector(".state");
  const bar = form.querySelector("progress");
  const cancel = form.querySelector(".cancel");
  const run = form.querySelector("button");
  const result = form.parentElement.querySelector(".result");
  const request = form.parentElement.querySelector(".request");
  let job = null;

  request.hidden = false;
  write();
  form.addEventListener("input", write);
  form.addEventListener("reset", () => setTimeout(write));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    run.disabled = true;
    tell("Sent…");
    result.replaceChildren();
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: filled(),
        headers: { Accept: "text/event-stream" },
      });
      if (!answer.ok) fail((await answer.json()).error.message);
      else for await (const [name, data] of events(answer.body)) hear(name, data);
    } catch (error) {
      fail(String(error));
    }
    run.disabled = false;
    bar.hidden = cancel.hidden = true;
  });

  cancel.addEventListener("click", () => job && fetch(`jobs/${encodeURIComponent(job)}/cancel`, { method: "POST" }));

  // The fields that hold something: an empty number or file means the workflow's own.
  function filled() {
    const fields = new FormData(form);
    for (const one of form.elements) {
      const empty = one.type === "file" ? !one.files.length : one.value === "" && "json" in one.dataset;
      if (one.name && empty) fields.delete(one.name);
    }
    return fields;
  }

  function write() {
    request.querySelector("pre").textContent = command(form);
  }

  function hear(name, data) {
    job = data.job_id ?? job;
    if (name === "accepted") {
      tell(data.state === "queued" ? "Waits…" : "Runs…");
      bar.hidden = cancel.hidden = false;
      bar.removeAttribute("value");
    } else if (name === "node" && data.state === "running") {
      tell(`${data.class_type} (${data.done} of ${data.total} nodes)`);
    } else if (name === "progress") {
      bar.max = data.max;
      bar.value = data.value;
    } else if (name === "preview") {
      show(picture(`data:${data.media_type};base64,${data.base64}`, "preview"));
    } else if (name === "notice") {
      tell(data.message);
    } else if (name === "refused") {
      fail(data.error.message);
    } else if (name === "finished") {
      end(data);
    }
  }

  function end(call) {
    if (call.state !== "done") return fail(call.error ? call.error.message : `The job was ${call.state}.`);
    const made = call.ran.length;
    tell(`Done in ${call.seconds.toFixed(2)} s: ${made} nodes ran, ${call.reused.length} were reused.`);
    result.replaceChildren();
    for (const [name, output] of Object.entries(call.outputs)) {
      for (const file of output.files) show(media(file, name));
      for (const text of output.texts) show(element("pre", text));
    }
    show(element("pre", JSON.stringify(call.values, null, 1)));
  }

  function media(file, name) {
    const kind = file.media_type.split("/")[0];
    if (kind === "image") return picture(file.url, name);
    if (kind === "video" || kind === "audio") {
      const player = element(kind, "");
      player.src = file.url;
      player.controls = true;
      return player;
    }
    const link = element("a", file.filename);
    link.href = file.url;
    return link;
  }

  function picture(url, name) {
    const shown = element("img", "");
    shown.src = url;
    shown.alt = shown.className = name;
    return shown;
  }

  function show(one) {
    result.querySelector("img.preview")?.remove();
    result.append(one);
  }

  function element(tag, text) {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  }

  function tell(text) {
    state.textContent = text;
    state.classList.remove("wrong");
  }

  function fail(text) {
    tell(text);
    state.classList.add("wrong");
  }
}

// The same call as a command: with files a form, else JSON; what is as it was saved is left out.
function command(form) {
  const fields = [...form.elements].filter((one) => one.name && (one.required || isChanged(one)));
  const files = fields.filter((one) => one.type === "file" && one.files.length);
  if (files.length) {
    const sent = fields.map((one) => `-F ${quoted(`${one.name}=${one.files?.length ? `@${one.files[0].name}` : one.value}`)}`);
    return `curl ${sent.join(" ")} \\\n  ${quoted(form.action)}`;
  }
  const values = Object.fromEntries(fields.filter((one) => one.type !== "file").map((one) => [one.name, valueOf(one)]));
  return `curl -d ${quoted(JSON.stringify(values))} \\\n  ${quoted(form.action)}`;
}

function isChanged(control) {
  if (control.type === "file") return control.files.length > 0;
  if (control.options) return ![...control.selectedOptions].every((option) => option.defaultSelected);
  return control.value !== control.defaultValue && !("json" in control.dataset && control.value === "");
}

// The value as JSON has it: large seeds keep all their digits only as texts, which are read as well.
function valueOf(control) {
  if (!("json" in control.dataset)) return control.value;
  try {
    const value = JSON.parse(control.value);
    return typeof value === "number" && !Number.isSafeInteger(value) && Number.isInteger(value) ? control.value : value;
  } catch {
    return control.value;
  }
}

function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

// The events of a stream, as [name, data].
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (waiting + value).split("\n\n");
    waiting = parts.pop();
    for (const part of parts) {
      const name = /^event: (.*)$/m.exec(part);
      const data = /^data: (.*)$/m.exec(part);
      if (name && data) yield [name[1], JSON.parse(data[1])];
    }
  }
}
