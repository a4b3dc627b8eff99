// The home page: choose a workflow, set its parameters, run it, watch it. It uses the same routes as every other client.

const $ = (id) => document.getElementById(id);
const SEED_MODES = new Set(["fixed", "increment", "decrement", "randomize", "increment-wrap"]);
const clientId = (sessionStorage.clientId ||= `page-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`);

let types = {};         // object_info
let workflow = null;    // saved workflow JSON whose widgets the form writes into
let running = null;     // the job that the stage shows
let shownUrl = "";      // object URL of the preview on show

// -- server

async function ask(route, body, init = {}) {
  if (body !== undefined) init = { method: "POST", body: body instanceof Blob ? body : JSON.stringify(body), ...init };
  const answer = await fetch(`api${route}`, init);
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error(told(value) || `${answer.status} ${answer.statusText}`);
  return value;
}

function told(refusal) {
  const nodes = Object.entries(refusal?.node_errors ?? {});
  const lines = nodes.flatMap(([id, node]) => node.errors.map((one) => `${titleOf(id)}: ${one.message} ${one.details ?? ""}`));
  return lines.length ? lines.join("\n") : refusal?.error?.message;
}

const complain = (error) => { $("problem").textContent = error.message; };

const viewUrl = (file, more = "") => `api/view?${new URLSearchParams({
  filename: file.filename, subfolder: file.subfolder ?? "", type: file.type ?? "output" })}${more}`;

// -- the form

async function choose(name) {
  const answer = await fetch(`templates/${encodeURIComponent(name)}.json`);
  if (!answer.ok) throw new Error(`There is no workflow ${name} any more.`);
  show(await answer.json());
}

function show(saved) {
  workflow = saved;
  $("fields").replaceChildren(...parameters(saved).flatMap(field));
  $("problem").textContent = "";
  $("run").disabled = false;
}

// What the workflow declares; of one that declares nothing, its texts and seeds.
function parameters(saved) {
  const declared = saved.extra?.safelight?.parameters;
  if (declared?.length) return declared;
  const inputs = (saved.nodes ?? []).flatMap((node) => (node.inputs ?? []).map((input) => ({ node, input })));
  const wanted = inputs.filter(({ node, input }) => input.widget && input.link == null &&
    (declaration(node, input.name)?.[1]?.multiline || /seed$/.test(input.name)));
  return wanted.map(({ node, input }) => ({ name: `${titleOf(node.id, saved)} ${input.name}`, node: String(node.id), input: input.name }));
}

function declaration(node, name) {
  const inputs = types[node?.type]?.input ?? {};
  return inputs.required?.[name] ?? inputs.optional?.[name];
}

const nodeOf = (id, saved = workflow) => saved?.nodes?.find((node) => String(node.id) === String(id));
const titleOf = (id, saved = workflow) => nodeOf(id, saved)?.title ?? types[nodeOf(id, saved)?.type]?.display_name ?? `node ${id}`;

// Where the value of a widget stands in the saved list; the value after a seed says what happens to it and is no input.
function place(node, name) {
  let at = 0;
  for (const input of (node.inputs ?? []).filter((one) => one.widget)) {
    if (input.name === name) return at;
    at += SEED_MODES.has(node.widgets_values[at + 1]) ? 2 : 1;
  }
  return -1;
}

function field(parameter) {
  const node = nodeOf(parameter.node);
  const [type, options = {}] = declaration(node, parameter.input) ?? [];
  const at = node && Array.isArray(node.widgets_values) ? place(node, parameter.input) : -1;
  if (!type || at < 0) return [];
  const box = control(type === "COMBO" ? options.options : type, options);
  const value = node.widgets_values[at];
  box.id = `field-${parameter.name}`;
  box.dataset.seed = /seed$/.test(parameter.input) ? "yes" : "";
  if (box.type === "checkbox") box.checked = value; else box.value = value;
  box.addEventListener("input", () => { node.widgets_values[at] = read(box, type); });
  const label = Object.assign(document.createElement("label"), { htmlFor: box.id, textContent: parameter.name.replaceAll("_", " ") });
  const cell = document.createElement("div");
  cell.className = box.localName === "textarea" || parameter.input === "ckpt_name" ? "wide" : "";
  cell.title = options.tooltip ?? "";
  cell.append(label, box);
  return [cell];
}

function control(type, options) {
  if (Array.isArray(type)) {
    const box = document.createElement("select");
    box.append(...type.map((choice) => new Option(choice, choice)));
    return box;
  }
  if (type === "STRING") return document.createElement("textarea");
  const box = document.createElement("input");
  if (type === "BOOLEAN") return Object.assign(box, { type: "checkbox" });
  box.type = "number";
  box.required = true;
  box.step = type === "INT" ? 1 : "any";
  for (const bound of ["min", "max"]) if (Math.abs(options[bound] ?? Infinity) <= Number.MAX_SAFE_INTEGER) box[bound] = options[bound];
  return box;
}

const read = (box, type) =>
  box.type === "checkbox" ? box.checked : type === "INT" || type === "FLOAT" ? Number(box.value) : box.value;

async function run(event) {
  event.preventDefault();
  $("problem").textContent = "";
  for (const box of $("fresh").checked ? $("fields").querySelectorAll("[data-seed=yes]") : []) {
    box.value = Math.floor(Math.random() * 2 ** 32);
    box.dispatchEvent(new Event("input"));
  }
  try {
    const job = await ask("/prompt", { client_id: clientId, prompt: workflow });
    running ??= job.prompt_id;
    $("state").textContent = "Waits in the queue…";
    if (Object.keys(job.node_errors ?? {}).length) $("problem").textContent = told(job);
  } catch (error) { complain(error); }
}

async function open(file) {
  try {
    const found = await ask("/v1/convert?to=workflow", file);
    $("workflow").value = "";
    $("about").textContent = file.name;
    show(found.workflow);
  } catch (error) { $("problem").textContent = `${file.name}: ${error.message}`; }
}

// -- the stage

function picture(url, { preview = false, caption = "" }) {
  const image = $("picture");
  if (shownUrl) URL.revokeObjectURL(shownUrl);
  shownUrl = preview ? url : "";
  image.onload = () => image.classList.toggle("small", !preview && image.naturalWidth < 256);
  image.classList.toggle("preview", preview);
  image.alt = preview ? "Preview of the picture in work" : caption || "Picture";
  image.src = url;
  image.hidden = false;
  $("empty").hidden = true;
  $("caption").textContent = caption;
}

const handlers = {
  status: () => lists().catch(complain),
  execution_start: (data) => { running = data.prompt_id; progress(0, 1, "Starts…"); },
  executing: (data) => { if (data.node) progress(0, 1, titleOf(data.display_node ?? data.node)); else running = null; },
  progress: (data) => progress(data.value, data.max, `${titleOf(data.node)}: ${data.value} of ${data.max}`),
  executed: (data) => { for (const file of data.output?.images ?? []) picture(viewUrl(file), { caption: file.filename }); },
  execution_success: () => progress(1, 1, "Done."),
  execution_interrupted: () => progress(0, 1, "Cancelled."),
  execution_error: (data) => {
    progress(0, 1, "Failed.");
    $("problem").textContent = `${titleOf(data.node_id)}: ${data.exception_message}`;
  },
};

function progress(value, max, text) {
  $("progress").max = max || 1;
  $("progress").value = value;
  $("state").textContent = text;
}

// A preview: u32 4, u32 length, JSON, picture; from servers that know no such message: u32 1, u32 format, picture.
function binary(buffer) {
  const view = new DataView(buffer);
  const kind = view.getUint32(0);
  if (kind !== 4 && kind !== 1) return;
  const start = kind === 4 ? 8 + view.getUint32(4) : 8;
  picture(URL.createObjectURL(new Blob([buffer.slice(start)])), { preview: true });
}

function connect() {
  const url = new URL(`ws?clientId=${clientId}`, location.href.replace(/^http/, "ws"));
  const socket = Object.assign(new WebSocket(url), { binaryType: "arraybuffer" });
  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
    Promise.all([device(), lists()]).catch(complain);
  };
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") return binary(data);
    const message = JSON.parse(data);
    handlers[message.type]?.(message.data);
  };
  socket.onclose = () => { $("device").textContent = "The server is away; trying again…"; setTimeout(connect, 1000); };
}

// -- queue and history

let pending = false;
async function lists() {
  if (pending) return;
  pending = true;
  await new Promise((done) => setTimeout(done, 100)); // many jobs at once: one request
  pending = false;
  const [waiting, ended] = await Promise.all([
    ask("/jobs?status=in_progress,pending&sort_order=asc&limit=50"), ask("/jobs?status=completed,failed,cancelled&limit=24")]);
  fill("queue", waiting.jobs.map(queueItem), "Nothing waits.");
  fill("history", ended.jobs.map(historyItem), "Nothing yet.");
}

function fill(id, items, none) {
  $(id).replaceChildren(...(items.length ? items : [Object.assign(document.createElement("li"), { className: "none", textContent: none })]));
}

function item(text, content, act, label) {
  const button = Object.assign(document.createElement("button"), { type: "button", onclick: act, title: label });
  button.setAttribute("aria-label", label);
  button.append(content);
  const line = document.createElement("li");
  line.append(...(text ? [text] : []), button);
  return line;
}

function queueItem(job) {
  const runs = job.status === "in_progress";
  const stop = () => (runs ? ask("/interrupt", { prompt_id: job.id }) : ask("/queue", { delete: [job.id] })).catch(complain);
  return item(`${runs ? "Runs" : "Waits"} · ${job.id.slice(0, 8)}`, "Cancel", stop, `Cancel job ${job.id}`);
}

function historyItem(job) {
  const file = job.preview_output;
  const label = `${job.status}, ${new Date(job.create_time).toLocaleString()}: show it and load its settings`;
  const content = file ? Object.assign(new Image(), { src: viewUrl(file), alt: "", loading: "lazy" }) : job.status;
  const line = item("", content, () => recall(job, file).catch(complain), label);
  line.className = job.status;
  return line;
}

async function recall(job, file) {
  if (file) picture(viewUrl(file), { caption: file.filename });
  const entry = (await ask(`/history/${job.id}`))[job.id];
  const saved = entry?.prompt?.[3]?.extra_pnginfo?.workflow;
  if (saved?.nodes) show(saved);
  if (job.execution_error) $("problem").textContent = job.execution_error.exception_message;
}

// -- start

async function device() {
  const { system, devices } = await ask("/system_stats");
  $("device").textContent = [devices[0]?.name, system.safelight_version && `version ${system.safelight_version}`].filter(Boolean).join(" · ");
}

async function start() {
  connect();
  const [info, index] = await Promise.all([ask("/object_info"), fetch("templates/index.json").then((answer) => answer.json())]);
  types = info;
  const templates = index.flatMap((category) => category.templates);
  $("workflow").append(...templates.map((one) => new Option(one.title ?? one.name.replaceAll("_", " "), one.name)));
  const pick = async () => {
    $("about").textContent = templates.find((one) => one.name === $("workflow").value)?.description ?? "";
    await choose($("workflow").value);
  };
  $("workflow").addEventListener("change", () => pick().catch(complain));
  $("form").addEventListener("submit", run);
  $("file").addEventListener("change", (event) => event.target.files[0] && open(event.target.files[0]));
  if (templates.some((one) => one.name === "text_to_image")) $("workflow").value = "text_to_image";
  await pick();
}

start().catch((error) => { $("problem").textContent = `The server could not be asked: ${error.message}`; });
