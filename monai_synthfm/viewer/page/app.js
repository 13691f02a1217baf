// Copyright (c) monai_synthfm contributors. SPDX-License-Identifier: Apache-2.0
// The page of the viewer: NiiVue draws, the server segments, this hands clicks one way and masks the other.

const token = document.querySelector("meta[name=synthfm-token]").content;
const $ = (id) => document.getElementById(id);
const { Niivue, DRAG_MODE, SLICE_TYPE } = window.niivue;

const PLANES = ["axial", "coronal", "sagittal"]; // NiiVue's numbers of 2D tiles
const DRAG_PIXELS = 4;

const nv = new Niivue({
  backColor: [0, 0, 0, 1],
  crosshairWidth: 0, // drawn with the marks: thin, and open where one looks
  isRadiologicalConvention: true,
  isForceMouseClickToVoxelCenters: true,
  dragAndDropEnabled: false,
  dragMode: DRAG_MODE.windowing,
  clipPlaneHotKey: "none",
  cycleClipPlaneHotKey: "none",
  viewModeHotKey: "none",
  fontColor: [0.6, 0.65, 0.7, 1],
  loadingText: "",
  logLevel: "warn",
});
nv.setMouseEventConfig({
  leftButton: { primary: DRAG_MODE.crosshair },
  rightButton: DRAG_MODE.windowing,
  centerButton: DRAG_MODE.pan,
});

let info = null; // of the volume
let state = { version: 0, revision: -1, objects: [], prompts: [], job: "", message: { id: 0 } };
let tool = "prompt";
let negative = false;
let active = 1;
let drag = null; // of the left button: { tile, start, mms, places, sign }
let answered = ""; // object and version that the areas of answers are of
let waiting = 0; // requests on their way
let place = null; // where the crosshair is: NiiVue's msg.mm

// ---- server

async function call(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { "x-synthfm-token": token, ...options.headers } });
  if (!response.ok) {
    const text = await response.text();
    let detail = text;
    try { detail = JSON.parse(text).detail; } catch { /* no JSON */ }
    if (Array.isArray(detail)) detail = detail.map((one) => one.msg).join("; ");
    throw new Error(detail || `the server answered ${response.status}`);
  }
  return response;
}

async function ask(path, body = {}) {
  say("");
  waiting += 1;
  showWaiting();
  try {
    const response = await call(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...body, since: state.version }),
    });
    if (response.status === 200) await apply(await response.arrayBuffer());
    return true;
  } catch (error) {
    say(error.message, "error");
    return false;
  } finally {
    waiting -= 1;
    showWaiting();
  }
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function apply(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const labels = header.box ? await inflate(new Uint8Array(buffer, 4 + length)) : null;
  // answers may overtake each other; what is older than what is shown says nothing new
  if (header.version < state.version || header.revision < state.revision) return;
  if (labels) putLabels(header.box, labels);
  const message = header.message.id > state.message.id ? header.message : null;
  state = header;
  if (message) say(message.text, message.level);
  showState();
  if (labels) nv.drawScene();
}

async function follow() {
  for (;;) {
    try {
      const response = await call(`/api/update?since=${state.version}&revision=${state.revision}`);
      await apply(await response.arrayBuffer());
      if (state.job) await new Promise((resolve) => setTimeout(resolve, 120));
    } catch (error) {
      say(error instanceof TypeError ? "The server does not answer; prompts that it had are kept." : error.message, "error");
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

// ---- masks: NiiVue's drawing has its own order (RAS+), the server's boxes that of the file

function putLabels(box, labels) {
  const volume = nv.volumes[0];
  const native = info.shown.shape;
  const source = [1, box[0][1] - box[0][0], (box[0][1] - box[0][0]) * (box[1][1] - box[1][0])];
  const start = [], size = [], step = [];
  let first = 0;
  for (let axis = 0; axis < 3; axis++) {
    const from = Math.abs(volume.permRAS[axis]) - 1;
    const [low, high] = box[from];
    size[axis] = high - low;
    const flipped = volume.permRAS[axis] < 0;
    start[axis] = flipped ? native[from] - high : low;
    step[axis] = flipped ? -source[from] : source[from];
    if (flipped) first += (size[axis] - 1) * source[from];
  }
  const [, nx, ny] = volume.dimsRAS;
  const patch = new Uint8Array(size[0] * size[1] * size[2]);
  let put = 0;
  for (let z = 0; z < size[2]; z++) {
    for (let y = 0; y < size[1]; y++) {
      let take = first + y * step[1] + z * step[2];
      const row = put;
      for (let x = 0; x < size[0]; x++, take += step[0]) patch[put++] = labels[take];
      nv.drawBitmap.set(patch.subarray(row, put), start[0] + (start[1] + y) * nx + (start[2] + z) * nx * ny);
    }
  }
  const gl = nv.gl;
  gl.activeTexture(gl.TEXTURE7);
  gl.bindTexture(gl.TEXTURE_3D, nv.drawTexture);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texSubImage3D(gl.TEXTURE_3D, 0, ...start, ...size, gl.RED, gl.UNSIGNED_BYTE, patch);
}

function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

let shownColours = "";
function putColours() {
  const key = JSON.stringify(state.objects.map((object) => [object.colour, object.visible]));
  if (key === shownColours) return false;
  shownColours = key;
  const lut = new Uint8ClampedArray(256 * 4);
  for (const object of state.objects) lut.set([...rgb(object.colour), object.visible ? 255 : 0], object.id * 4);
  nv.drawLut = { lut, labels: nv.drawLut.labels };
  nv.refreshColormaps();
  return true;
}

function putMaskStyle() {
  nv.drawOpacity = Number($("opacity").value);
  nv.drawRimOpacity = $("outline").checked ? 1 : -1;
  nv.drawScene();
}

// ---- places

function tileAt(event) {
  const rect = $("gl").getBoundingClientRect();
  const dpr = nv.uiData.dpr;
  const x = (event.clientX - rect.left) * dpr;
  const y = (event.clientY - rect.top) * dpr;
  const index = nv.tileIndex(x, y);
  const kind = index < 0 ? -1 : nv.screenSlices[index].axCorSag;
  return { x, y, kind: kind > 2 ? -1 : kind };
}

function fracOf(tile) {
  const frac = nv.canvasPos2frac([tile.x, tile.y]);
  return frac[0] < 0 ? null : frac;
}

function goTo(frac, kind) {
  nv.scene.crosshairPos = nv.vox2frac(nv.frac2vox(frac)); // slices lie at the centres of voxels
  nv.createOnLocationChange(kind);
  nv.drawScene();
}

nv.onLocationChange = (msg) => {
  place = Array.from(msg.mm).slice(0, 3);
  const voxel = toVoxel(place).map(Math.round);
  const values = msg.values.map((one) => Number(Number(one.value).toPrecision(4))).join(" ");
  const names = ["R", "L", "P", "A", "I", "S"];
  const mm = place.map((value, axis) => `${names[axis * 2 + (value >= 0 ? (axis === 0 ? 0 : 1) : axis === 0 ? 1 : 0)]} ${Math.abs(value).toFixed(1)}`);
  $("place").textContent = `${mm.join("  ")} mm   voxel ${voxel.join(", ")}   value ${values}   slice ${sliceHere()} of 0–${info.slices - 1}`;
  look();
};

let looking = 0;
function look() {
  // a slice that is looked at will be clicked on: the network may begin
  clearTimeout(looking);
  looking = setTimeout(() => {
    const body = JSON.stringify({ slice: sliceHere() });
    call("/api/look", { method: "POST", headers: { "content-type": "application/json" }, body }).catch(() => {});
  }, 300);
}

function toVoxel(mm) {
  return info.to_voxel.slice(0, 3).map((row) => row[0] * mm[0] + row[1] * mm[1] + row[2] * mm[2] + row[3]);
}

function toMm(voxel) {
  return info.affine.slice(0, 3).map((row) => row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3]);
}

function sliceHere() {
  return Math.round(toVoxel(place)[info.stored_axis]);
}

// ---- mouse: what the left button says; everything else is NiiVue's

function isOurs(event) {
  return info && event.button === 0 && tool !== "move" && tileAt(event).kind >= 0;
}

$("stage").addEventListener("mousedown", (event) => {
  if (event.button === 2) drag = { right: true, x: event.clientX, y: event.clientY };
  solid.turning = info && tileAt(event).kind < 0;
  if (!isOurs(event)) return;
  event.stopPropagation();
  event.preventDefault();
  document.activeElement?.blur?.();
  const tile = tileAt(event);
  const frac = fracOf(tile);
  if (!frac) return;
  drag = { kind: tile.kind, tile, frac, last: frac, stroke: [Array.from(nv.frac2mm(frac, 0, true)).slice(0, 3)], trail: [[tile.x, tile.y]], other: event.shiftKey };
}, true);

window.addEventListener("mousemove", (event) => {
  if (!drag || drag.right) return;
  event.stopPropagation();
  const tile = tileAt(event);
  const frac = tile.kind === drag.kind ? fracOf(tile) : null;
  if (!frac) return;
  drag.last = frac;
  drag.moved ||= Math.hypot(tile.x - drag.tile.x, tile.y - drag.tile.y) > DRAG_PIXELS * nv.uiData.dpr;
  drag.end = tile;
  drag.stroke.push(Array.from(nv.frac2mm(frac, 0, true)).slice(0, 3));
  drag.trail.push([tile.x, tile.y]);
  drawMarks();
}, true);

window.addEventListener("mouseup", (event) => {
  const done = drag;
  drag = null;
  solid.turning = false;
  if (!done) return;
  if (done.right) {
    if (event.button === 2) showWindow(); // NiiVue's windowing may have changed it
    const still = Math.hypot(event.clientX - done.x, event.clientY - done.y) <= DRAG_PIXELS;
    const tile = tileAt(event);
    if (still && tool !== "move" && tile.kind >= 0 && event.target === $("gl")) {
      const frac = fracOf(tile);
      if (frac) click(frac, tile.kind, true);
    }
    return;
  }
  event.stopPropagation();
  if (done.moved && PLANES[done.kind] !== info.plane) {
    say(`The network sees ${info.plane} slices: draw boxes and strokes there; clicks may be set anywhere.`, "error");
  } else if (done.moved && tool === "stroke") {
    ask("/api/stroke", { object: active, stroke: thinned(done.stroke), label: done.other === negative ? 1 : 0 });
    goTo(done.last, done.kind);
  } else if (done.moved) {
    ask("/api/box", { object: active, corners: [done.stroke[0], done.stroke[done.stroke.length - 1]] });
    goTo(done.frac, done.kind);
  } else {
    click(done.frac, done.kind, done.other);
  }
  drawMarks();
}, true);

function thinned(stroke) {
  const every = Math.ceil(stroke.length / 1000);
  return stroke.filter((_, index) => index % every === 0 || index === stroke.length - 1);
}

function click(frac, kind, other) {
  nv.scene.crosshairPos = frac;
  nv.createOnLocationChange(kind); // sets place, in mm: NiiVue's voxels are not those of the file
  ask("/api/points", { object: active, points: [place], labels: [other === negative ? 1 : 0] });
  goTo(frac, kind); // while the server works
}

// ---- marks: prompts on the slices that are shown

const drawScene = nv.drawScene.bind(nv);
nv.drawScene = (...given) => {
  solid.late = false;
  const result = drawScene(...given);
  if (solid.late) settle();
  else if (solid.slow) keepSolid();
  drawMarks();
  return result;
};

// Without a graphics card 3D takes three quarters of the time: its picture then stays until nothing else is drawn.
const solid = { slow: false, late: false, now: false, turning: false, picture: document.createElement("canvas"), timer: 0 };

function keepSolid() {
  const slice = nv.screenSlices.find((one) => one.axCorSag === SLICE_TYPE.RENDER);
  if (!slice) return;
  const [left, top, width, height] = slice.leftTopWidthHeight.map(Math.round);
  Object.assign(solid.picture, { width, height });
  solid.picture.getContext("2d").drawImage($("gl"), left, top, width, height, 0, 0, width, height);
}

function settle() {
  clearTimeout(solid.timer);
  document.body.dataset.settled = "";
  solid.timer = setTimeout(() => {
    solid.now = true;
    nv.drawScene();
    solid.now = false;
    document.body.dataset.settled = "yes";
  }, 250);
}

const draw3D = nv.draw3D.bind(nv);
nv.draw3D = (...given) => {
  const [, , width, height] = given[0] ?? [0, 0, 0, 0];
  const kept = solid.picture.width === Math.round(width) && solid.picture.height === Math.round(height);
  if (solid.slow && kept && !solid.now && !solid.turning) {
    solid.late = true;
    nv.screenSlices.push({ leftTopWidthHeight: Array.from(given[0]), axCorSag: SLICE_TYPE.RENDER, sliceFrac: 0, AxyzMxy: [], leftTopMM: [], fovMM: [0, 0] });
    return "";
  }
  // masks are whole in 3D, and not hidden by the skin unless this is asked for
  const shader = nv.renderShader;
  if (shader) {
    shader.use(nv.gl);
    nv.gl.uniform1f(shader.uniforms.backOpacity, $("tissue").checked ? 1 : 0);
  }
  const opacity = nv.drawOpacity;
  if (opacity > 0) nv.drawOpacity = 1;
  try {
    return draw3D(...given);
  } finally {
    nv.drawOpacity = opacity;
  }
};

function onScreen(mm, kind) {
  const axis = 2 - kind; // of RAS, across which the tile is cut
  const frac = Array.from(nv.mm2frac(mm, 0, true));
  const here = nv.frac2vox(nv.scene.crosshairPos)[axis];
  if (nv.frac2vox(frac)[axis] !== here) return null;
  frac[axis] = nv.scene.crosshairPos[axis];
  const found = nv.frac2canvasPosWithTile(frac, kind);
  return found ? found.pos : null;
}

function drawMarks() {
  const canvas = $("marks");
  const gl = $("gl");
  if (canvas.width !== gl.width || canvas.height !== gl.height) {
    canvas.width = gl.width;
    canvas.height = gl.height;
  }
  const c = canvas.getContext("2d");
  c.clearRect(0, 0, canvas.width, canvas.height);
  if (solid.late) {
    const slice = nv.screenSlices.find((one) => one.axCorSag === SLICE_TYPE.RENDER);
    if (slice) c.drawImage(solid.picture, Math.round(slice.leftTopWidthHeight[0]), Math.round(slice.leftTopWidthHeight[1]));
  }
  if (!info || !nv.volumes.length) return;
  const dpr = nv.uiData.dpr;
  const kinds = nv.screenSlices.map((slice) => slice.axCorSag).filter((kind) => kind <= 2);
  for (const slice of nv.screenSlices) if (slice.axCorSag <= 2) drawCrosshair(c, slice, dpr);
  c.lineWidth = 1.5 * dpr;
  for (const prompt of state.prompts) {
    const object = state.objects[prompt.object - 1];
    if (!object || !object.visible) continue;
    for (const kind of kinds) {
      prompt.points.forEach((mm, index) => {
        const at = onScreen(mm, kind);
        if (at) drawClick(c, at, prompt.labels[index], object.colour, dpr, prompt.object === active);
      });
      if (prompt.box && PLANES[kind] === info.plane) drawBox(c, prompt.box, kind, object.colour);
    }
  }
  if (drag && drag.moved && drag.end) {
    c.strokeStyle = state.objects[active - 1]?.colour ?? "#fff";
    c.setLineDash(tool === "stroke" ? [] : [5 * dpr, 4 * dpr]);
    c.beginPath();
    if (tool === "stroke") drag.trail.forEach(([x, y], index) => (index ? c.lineTo(x, y) : c.moveTo(x, y)));
    else c.rect(drag.tile.x, drag.tile.y, drag.end.x - drag.tile.x, drag.end.y - drag.tile.y);
    c.stroke();
    c.setLineDash([]);
  }
}

function drawCrosshair(c, slice, dpr) {
  const found = nv.frac2canvasPosWithTile(nv.scene.crosshairPos, slice.axCorSag);
  if (!found) return;
  const [x, y] = found.pos.map((value) => Math.round(value) + 0.5);
  let [left, top, width, height] = slice.leftTopWidthHeight;
  if (width < 0) [left, width] = [left + width, -width];
  const gap = 14 * dpr;
  c.lineWidth = dpr;
  c.strokeStyle = PLANES[slice.axCorSag] === info.plane ? "#4fb3ff99" : "#4fb3ffcc";
  c.beginPath();
  for (const [x0, y0, x1, y1] of [[left, y, x - gap, y], [x + gap, y, left + width, y], [x, top, x, y - gap], [x, y + gap, x, top + height]]) {
    if (x1 < x0 || y1 < y0) continue;
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
  }
  c.stroke();
}

function drawClick(c, [x, y], label, colour, dpr, bold) {
  const r = (bold ? 5 : 3.5) * dpr;
  c.beginPath();
  c.arc(x, y, r, 0, 2 * Math.PI);
  c.fillStyle = label ? colour : "#d62728";
  c.fill();
  c.strokeStyle = "#fff";
  c.stroke();
  c.beginPath();
  c.moveTo(x - r * 0.6, y);
  c.lineTo(x + r * 0.6, y);
  if (label) {
    c.moveTo(x, y - r * 0.6);
    c.lineTo(x, y + r * 0.6);
  }
  c.stroke();
}

function drawBox(c, box, kind, colour) {
  const across = info.stored_axis;
  const here = sliceHere();
  if (here < Math.round(box[across]) || here > Math.round(box[across + 3])) return;
  const corners = [0, 1, 2].filter((axis) => axis !== across);
  const voxel = [0, 0, 0];
  voxel[across] = here;
  const at = [[0, 0], [1, 0], [1, 1], [0, 1]].map(([a, b]) => {
    voxel[corners[0]] = box[corners[0] + 3 * a];
    voxel[corners[1]] = box[corners[1] + 3 * b];
    return onScreen(toMm(voxel), kind);
  });
  if (at.some((one) => !one)) return;
  c.strokeStyle = colour;
  c.beginPath();
  at.forEach(([x, y], index) => (index ? c.lineTo(x, y) : c.moveTo(x, y)));
  c.closePath();
  c.stroke();
}

// ---- what is told

function say(text, level = "info") {
  $("message").textContent = text;
  $("message").className = level;
}

function showWaiting() {
  $("busy").hidden = waiting === 0;
  document.body.dataset.waiting = String(waiting);
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function showState() {
  active = Math.min(Math.max(active, 1), state.objects.length || 1);
  showObjects();
  showPrompts();
  showJob();
  $("undo").disabled = !state.can_undo;
  $("redo").disabled = !state.can_redo;
  const object = state.objects[active - 1];
  const sizable = state.prompts.some((prompt) => prompt.object === active && (prompt.points.length || prompt.box));
  $("smaller").disabled = $("larger").disabled = !sizable;
  if (answered !== `${active} ${state.version}`) $("answers").textContent = "";
  $("active-name").textContent = object ? object.name : "";
  const late = state.objects.filter((one) => one.outdated).map((one) => one.name);
  $("outdated").hidden = !late.length;
  $("outdated").textContent = `${late.join(", ")}: changed on the prompted slices only. Propagate (P) for the others.`;
  if (!state.job) {
    const { direction, slice_range: range } = state.reach;
    const ways = { both: "both ways", forward: "to higher slices", backward: "to lower slices" };
    $("reach").textContent = direction === "none" ? "Masks are on the prompted slices." : `Carried ${ways[direction]}${range ? `, slices ${range.join(" to ")}` : ", all slices"}.`;
  }
  const { modality, level, width } = state.window;
  const { low, high } = info.scaling;
  $("network-window").textContent = modality === "ct" || info.scaling.policy === "window" ? `The network sees L ${level}, W ${width}.` : `The network sees ${Number(low.toPrecision(4))} to ${Number(high.toPrecision(4))}.`;
  if (putColours()) nv.drawScene();
  else drawMarks();
}

function showObjects() {
  const list = $("objects");
  if (list.contains(document.activeElement) && document.activeElement.matches("input.label")) return; // being typed in
  list.replaceChildren(...state.objects.map((object) => {
    const colour = element("input", { type: "color", value: object.colour, title: "Colour" });
    colour.onchange = () => ask("/api/objects/change", { object: object.id, colour: colour.value });
    const name = element("input", { className: "label", value: object.name, maxLength: 64, title: "Name" });
    name.onkeydown = (event) => { if (event.key === "Enter") name.blur(); };
    name.onchange = () => { if (name.value.trim()) ask("/api/objects/change", { object: object.id, name: name.value.trim() }); };
    name.onfocus = () => { active = object.id; };
    const ml = element("span", { className: "ml", textContent: `${object.ml.toFixed(object.ml < 10 ? 2 : 1)} ml${object.outdated ? " *" : ""}` });
    const eye = element("button", { textContent: object.visible ? "hide" : "show", title: "Show or hide (H)" });
    eye.onclick = (event) => { event.stopPropagation(); ask("/api/objects/change", { object: object.id, visible: !object.visible }); };
    const away = element("button", { textContent: "×", title: "Remove the object" });
    away.onclick = (event) => { event.stopPropagation(); ask("/api/objects/remove", { object: object.id }); };
    const row = element("li", { className: object.id === active ? "active" : "" }, colour, name, ml, eye, away);
    row.dataset.object = object.id;
    row.onclick = () => { active = object.id; showState(); };
    return row;
  }));
}

function showPrompts() {
  const own = state.prompts.filter((prompt) => prompt.object === active);
  $("prompts").replaceChildren(...own.map((prompt) => {
    let text = prompt.kind;
    if (prompt.points.length) {
      const slices = [...new Set(prompt.points.map((mm) => Math.round(toVoxel(mm)[info.stored_axis])))];
      text = `${prompt.points.length > 1 ? `${prompt.points.length} clicks` : "click"} ${prompt.labels[0] ? "+" : "−"}, slice ${slices.join(", ")}`;
    } else if (prompt.box) text = `box, slice ${Math.round(prompt.box[info.stored_axis])}`;
    else if (prompt.kind === "answer") text = `chosen answer, slice ${prompt.slices.join(", ")}`;
    else text = `mask, ${prompt.slices.length} slices`;
    const go = element("span", { className: "label", textContent: text, title: "Go there" });
    go.onclick = () => {
      const mm = prompt.points[0] ?? (prompt.box ? toMm([0, 1, 2].map((axis) => (prompt.box[axis] + prompt.box[axis + 3]) / 2)) : null);
      if (mm) goTo(nv.mm2frac(mm, 0, true), NaN);
    };
    const away = element("button", { textContent: "×", title: "Remove this prompt" });
    away.onclick = () => ask("/api/remove", { prompt: prompt.id });
    return element("li", {}, go, away);
  }));
}

function showJob() {
  const bar = $("progress");
  bar.hidden = !state.job;
  $("stop").disabled = !state.job;
  $("propagate").disabled = Boolean(state.job) || !state.prompts.length;
  if (state.job && state.progress) bar.value = state.progress[0] / Math.max(1, state.progress[1]);
  else bar.removeAttribute("value");
  document.body.dataset.job = state.job;
}

async function showAnswers() {
  try {
    const { areas, current, chosen } = await (await call(`/api/alternatives?object=${active}`)).json();
    answered = `${active} ${state.version}`;
    const shown = areas.map((area, index) => `${index === chosen ? "▸" : ""}${(area / 100).toFixed(2)}`);
    $("answers").textContent = `Answers: ${shown.join(" · ")} cm²; now ${(current / 100).toFixed(2)} cm²`;
  } catch (error) {
    say(error.message, "error");
  }
}

// ---- buttons

function setTool(name) {
  tool = name;
  $("stage").className = name;
  for (const button of document.querySelectorAll("[data-tool]")) button.classList.toggle("on", button.dataset.tool === name);
}

function setSign(value) {
  negative = value;
  $("sign").textContent = negative ? "− outside" : "+ inside";
  $("sign").classList.toggle("negative", negative);
}

async function resize(size) {
  waiting += 1;
  try {
    if (await ask("/api/resize", { object: active, size })) await showAnswers();
  } finally {
    waiting -= 1;
    showWaiting();
  }
}

async function propagate() {
  const range = [Number($("first").value), Number($("last").value)];
  const all = range[0] === 0 && range[1] === info.slices - 1;
  await ask("/api/propagate", { direction: $("direction").value, slice_range: all ? null : range });
}

async function idle() {
  while (state.job) await new Promise((resolve) => setTimeout(resolve, 60));
}

async function save(path) {
  if (state.objects.some((object) => object.outdated)) {
    say("Carrying what has changed through the volume before saving …");
    const { direction, slice_range } = state.reach;
    if (!(await ask("/api/propagate", { direction, slice_range }))) return;
    state.job ||= "carrying"; // until the server says so
    await idle();
    if (state.objects.some((object) => object.outdated)) return;
  }
  try {
    const response = await call(path);
    const name = decodeURIComponent(response.headers.get("content-disposition").split("''")[1]);
    const link = element("a", { href: URL.createObjectURL(await response.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`Saved ${name}.`);
  } catch (error) {
    say(error.message, "error");
  }
}

function load(path) {
  $("file").value = "";
  $("file").onchange = async () => {
    const [file] = $("file").files;
    if (!file) return;
    waiting += 1;
    showWaiting();
    try {
      await apply(await (await call(`${path}?since=${state.version}`, { method: "POST", body: file })).arrayBuffer());
      say(`Loaded ${file.name}.`);
    } catch (error) {
      say(error.message, "error");
    } finally {
      waiting -= 1;
      showWaiting();
    }
  };
  $("file").click();
}

const newObject = async () => {
  if (await ask("/api/objects/add")) {
    active = state.objects.length;
    showState();
  }
};

const VIEWS = { axial: SLICE_TYPE.AXIAL, coronal: SLICE_TYPE.CORONAL, sagittal: SLICE_TYPE.SAGITTAL, multi: SLICE_TYPE.MULTIPLANAR, render: SLICE_TYPE.RENDER };

function setView(name) {
  $("view").value = name;
  if (name === "multi") putLayout();
  else nv.clearCustomLayout();
  nv.setSliceType(VIEWS[name]);
}

function setWindow(level, width) {
  nv.volumes[0].cal_min = level - width / 2;
  nv.volumes[0].cal_max = level + width / 2;
  nv.updateGLVolume();
  showWindow();
}

function showWindow() {
  const { cal_min: low, cal_max: high } = nv.volumes[0];
  $("level").value = Number(((low + high) / 2).toPrecision(5));
  $("width").value = Number((high - low).toPrecision(5));
  const found = Object.entries(info.windows).find(([, [l, w]]) => Math.abs(l - (low + high) / 2) < 0.5 && Math.abs(w - (high - low)) < 0.5);
  $("preset").value = found ? found[0] : "";
}

function scroll(step) {
  const axis = { axial: 2, coronal: 1, sagittal: 0 }[info.plane];
  const move = [0, 0, 0];
  move[axis] = step;
  nv.moveCrosshairInVox(...move);
}

function jump(step) {
  const slices = [...new Set(state.prompts.filter((prompt) => prompt.object === active).flatMap((prompt) => prompt.points.map((mm) => Math.round(toVoxel(mm)[info.stored_axis])).concat(prompt.slices, prompt.box ? [Math.round(prompt.box[info.stored_axis])] : [])))].sort((a, b) => a - b);
  const next = step > 0 ? slices.find((slice) => slice > sliceHere()) : slices.reverse().find((slice) => slice < sliceHere());
  if (next === undefined) return;
  const voxel = toVoxel(place);
  voxel[info.stored_axis] = next;
  goTo(nv.mm2frac(toMm(voxel), 0, true), NaN);
}

let shownOpacity = "0.4";
function toggleMasks() {
  if (Number($("opacity").value) > 0) {
    shownOpacity = $("opacity").value;
    $("opacity").value = 0;
    $("outline").checked = false;
  } else {
    $("opacity").value = shownOpacity;
    $("outline").checked = true;
  }
  putMaskStyle();
}

const KEYS = [
  ["left click", "point inside the object"],
  ["Shift + click, right click", "point outside it"],
  ["drag on the network's plane", "box, or a chain of clicks with Scribble"],
  ["wheel", "through the slices; right drag: window; middle drag: pan"],
  ["c", "click / box", () => setTool("prompt")],
  ["s", "scribble", () => setTool("stroke")],
  ["v", "navigate", () => setTool("move")],
  ["x", "swap inside and outside", () => setSign(!negative)],
  ["ctrl+z", "undo", () => ask("/api/undo")],
  ["ctrl+y", "redo (also Ctrl+Shift+Z)", () => ask("/api/redo")],
  ["ctrl+shift+z", "", () => ask("/api/redo")],
  ["[", "smaller answer", () => resize("smaller")],
  ["]", "larger answer", () => resize("larger")],
  ["p", "propagate", propagate],
  ["escape", "stop propagating", () => ask("/api/stop")],
  ["n", "new object", newObject],
  ["tab", "next object", () => { active = (active % state.objects.length) + 1; showState(); }],
  ["h", "show or hide the object", () => ask("/api/objects/change", { object: active, visible: !state.objects[active - 1].visible })],
  ["m", "masks on or off", toggleMasks],
  ["arrowup", "next slice", () => scroll(1)],
  ["arrowdown", "slice before", () => scroll(-1)],
  ["pageup", "next prompted slice", () => jump(1)],
  ["pagedown", "prompted slice before", () => jump(-1)],
  ["1", "three planes and 3D, axial, coronal, sagittal, 3D", () => setView("multi")],
  ["2", "", () => setView("axial")],
  ["3", "", () => setView("coronal")],
  ["4", "", () => setView("sagittal")],
  ["5", "", () => setView("render")],
  ["ctrl+s", "save NIfTI", () => save("/api/save/segmentation.nii.gz")],
  ["?", "this sheet", () => $("help-sheet").showModal()],
];

const KEY_NAMES = { escape: "Esc", tab: "Tab", arrowup: "↑", arrowdown: "↓", pageup: "Page ↑", pagedown: "Page ↓", "ctrl+z": "Ctrl Z", "ctrl+y": "Ctrl Y", "ctrl+s": "Ctrl S", 1: "1 … 5" };

window.addEventListener("keydown", (event) => {
  if (!info || event.target.matches("input:not([type=checkbox]):not([type=range]), select") || $("help-sheet").open) return;
  const name = `${event.ctrlKey || event.metaKey ? "ctrl+" : ""}${event.shiftKey && event.key.length === 1 && /[a-z]/i.test(event.key) ? "shift+" : ""}${event.key.toLowerCase()}`;
  const found = KEYS.find(([key, , act]) => act && key === name);
  if (!found) return;
  event.preventDefault();
  event.stopPropagation();
  found[2]();
}, true);

function connect() {
  for (const button of document.querySelectorAll("[data-tool]")) button.onclick = () => setTool(button.dataset.tool);
  $("sign").onclick = () => setSign(!negative);
  $("undo").onclick = () => ask("/api/undo");
  $("redo").onclick = () => ask("/api/redo");
  $("smaller").onclick = () => resize("smaller");
  $("larger").onclick = () => resize("larger");
  $("add-object").onclick = newObject;
  $("propagate").onclick = propagate;
  $("stop").onclick = () => ask("/api/stop");
  $("first-here").onclick = () => { $("first").value = sliceHere(); };
  $("last-here").onclick = () => { $("last").value = sliceHere(); };
  $("view").onchange = () => setView($("view").value);
  $("opacity").oninput = $("outline").onchange = putMaskStyle;
  $("tissue").onchange = () => nv.drawScene();
  $("preset").onchange = () => { const found = info.windows[$("preset").value]; if (found) setWindow(...found); else setWindow(...first()); };
  $("level").onchange = $("width").onchange = () => { if (Number($("width").value) > 0) setWindow(Number($("level").value), Number($("width").value)); };
  $("window-network").onclick = () => ask("/api/window", { level: Number($("level").value), width: Number($("width").value) });
  $("window-auto").onclick = () => ask("/api/window");
  $("save-nifti").onclick = () => save("/api/save/segmentation.nii.gz");
  $("save-seg").onclick = () => save("/api/save/segmentation.dcm");
  $("save-prompts").onclick = () => save("/api/save/prompts");
  $("load-prompts").onclick = () => load("/api/load/prompts");
  $("load-labels").onclick = () => load("/api/load/labels");
  $("help").onclick = () => $("help-sheet").showModal();
  $("keys").replaceChildren(...KEYS.filter(([, text]) => text).map(([key, text]) => element("tr", {}, element("td", {}, element("kbd", { textContent: KEY_NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key) })), element("td", { textContent: text }))));
}

function first() {
  const { low, high } = info.scaling;
  return [(low + high) / 2, high - low];
}

function putLayout() {
  const main = PLANES.indexOf(info.plane);
  const others = [0, 1, 2].filter((kind) => kind !== main);
  nv.setCustomLayout([
    { sliceType: main, position: [0, 0, 0.66, 1] },
    { sliceType: others[0], position: [0.665, 0, 0.335, 0.33] },
    { sliceType: others[1], position: [0.665, 0.335, 0.335, 0.33] },
    { sliceType: SLICE_TYPE.RENDER, position: [0.665, 0.67, 0.335, 0.33] },
  ]);
}

async function start() {
  connect();
  setTool("prompt");
  setSign(false);
  await nv.attachToCanvas($("gl"));
  const named = nv.gl.getExtension("WEBGL_debug_renderer_info");
  solid.slow = Boolean(named) && /swiftshader|llvmpipe|software|basic render/i.test(nv.gl.getParameter(named.UNMASKED_RENDERER_WEBGL));
  info = await (await call(`/api/info?most_side=${nv.uiData.max3D}`)).json();
  $("preset").replaceChildren(element("option", { value: "", textContent: "automatic" }), ...Object.keys(info.windows).map((name) => element("option", { value: name, textContent: name })));
  $("image-name").textContent = info.name;
  $("plane").textContent = `network: ${info.plane}`;
  $("save-seg").hidden = !info.dicom;
  $("first").value = 0;
  $("last").value = info.slices - 1;
  $("first").max = $("last").max = info.slices - 1;
  const buffer = await (await call("/api/volume.nii")).arrayBuffer();
  await nv.loadFromArrayBuffer(buffer, "volume.nii");
  putLayout();
  setWindow(...first());
  nv.createEmptyDrawing();
  putMaskStyle();
  if (info.shown.strides.some((stride) => stride > 1)) say(`Shown with every ${info.shown.strides.join(", ")}th voxel; the network sees all.`);
  goTo([0.5, 0.5, 0.5], NaN);
  await apply(await (await call("/api/update?since=0")).arrayBuffer());
  active = state.prompts.at(-1)?.object ?? 1;
  showState();
  $("wait").hidden = true;
  document.body.dataset.ready = "yes";
  follow();
}

// for tests and for people at the console
window.synthfm = { nv, state: () => state, info: () => info, active: () => active, place: () => place };

start().catch((error) => {
  console.error(error);
  $("wait").hidden = false;
  $("wait").firstElementChild.textContent = `The volume cannot be shown: ${error.message}`;
});
