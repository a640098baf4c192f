"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const COLORS = ["#c2562b", "#3d7fc4", "#2f9e6e", "#b06ad0", "#c9a227", "#43a9b5", "#d6638a", "#8a8f98", "#7d6a4f"];
const HEAT = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]];
const LARGEST_ERROR = 0.25;
const MISSING = "–";

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, call] of Object.entries(value)) element.addEventListener(event, call);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function drawn(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const url = key => "data:image/webp;base64," + data.images[key];
const colorOf = name => COLORS[data.methods.findIndex(method => method.name === name) % COLORS.length];
const number = (value, score) => value === undefined || value === null ? MISSING : value.toFixed(data.measures[score].digits);
const byId = id => document.getElementById(id);

/* tables ------------------------------------------------------------------------------------------------------------ */

function table(columns, rows, firstTitle) {
  const body = make("tbody");
  const heads = columns.map((column, index) => make("th", {scope: "col"}, make("button", {
    type: "button", title: column.about || "", on: {click: () => sortBy(index)},
  }, column.title)));
  const fill = list => body.replaceChildren(...list.map(row => make("tr", row.ceiling ? {class: "ceiling"} : {},
    make("th", {scope: "row"}, row.name, ...(row.about ? [make("small", {}, row.about)] : [])),
    ...row.cells.map(cell => make("td", cell.best ? {class: "best"} : {}, cell.text)))));
  function sortBy(index) {
    const was = heads[index].getAttribute("aria-sort");
    const better = columns[index].higher === false ? "ascending" : "descending";
    const now = was === null ? better : was === "ascending" ? "descending" : "ascending";
    heads.forEach(head => head.removeAttribute("aria-sort"));
    heads[index].setAttribute("aria-sort", now);
    const sign = now === "ascending" ? 1 : -1;
    const value = row => row.cells[index].value;
    const known = row => value(row) !== undefined && value(row) !== null;
    fill([...rows].sort((a, b) => known(b) - known(a) || (known(a) ? sign * (value(a) - value(b)) : 0)));
  }
  fill(rows);
  const head = make("thead", {}, make("tr", {}, make("th", {scope: "col", class: "plain"}, firstTitle), ...heads));
  return make("div", {class: "scroll", tabIndex: 0, role: "region", "aria-label": firstTitle + ", table"},
    make("table", {}, head, body));
}

function methodRows(columns) {
  return data.methods.map(method => ({
    name: method.name, about: method.about, ceiling: method.name === "truth",
    cells: columns.map(column => {
      const value = column.score === "making_s" ? method.making_s : method.values[column.part][column.score];
      const text = column.score === "making_s" ? (value === null ? MISSING : value.toFixed(0)) : number(value, column.score);
      return {value, text, best: column.best.includes(method.name)};
    }),
  }));
}

function summary() {
  const place = byId("tables");
  place.append(table(data.columns, methodRows(data.columns), "Method"));
  place.append(make("p", {class: "quiet"}, "Means over sequences of each sequence's mean, over the judged pictures; bold: the best " +
    "as printed. A column's name sorts by it, and says what it is where the pointer rests."));
  const {columns, rows, size} = data.published;
  if (columns.length) {
    place.append(make("h3", {}, "Beside the paper's numbers, computed as its released code does" +
      (size ? `, of pictures whose longer side has at most ${size} pixels` : "")));
    place.append(table(columns, rows.map(row => ({
      name: row.name, about: row.about || (row.ours ? "" : "as the paper prints it, of other pictures"), ceiling: !row.ours || row.name === "truth",
      cells: columns.map(column => ({value: row.values[column.score], text: number(row.values[column.score], column.score)})),
    })), "Method, as published"));
  }
  byId("notes").append(...data.notes.map(text => make("li", {}, text)));
}

/* chart ------------------------------------------------------------------------------------------------------------- */

function mark(index, x, y, color, title) {
  const shapes = [
    () => drawn("circle", {cx: x, cy: y, r: 5}),
    () => drawn("rect", {x: x - 4.4, y: y - 4.4, width: 8.8, height: 8.8}),
    () => drawn("path", {d: `M${x} ${y - 6}l6 6l-6 6l-6 -6z`}),
    () => drawn("path", {d: `M${x} ${y - 5.5}l5.5 9.5h-11z`}),
    () => drawn("path", {d: `M${x} ${y + 5.5}l5.5 -9.5h-11z`}),
  ];
  const shape = shapes[index % shapes.length]();
  shape.setAttribute("fill", color);
  shape.setAttribute("fill-opacity", ".88");
  if (title) shape.append(drawn("title", {}, title));
  return shape;
}

function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= raw * .999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return {found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9))};
}

function chart() {
  const score = byId("measure").value, measure = data.measures[score];
  byId("measure-about").textContent = measure.about + (measure.higher === null ? "" : measure.higher ? " · more is better" : " · less is better");
  const place = byId("chart"), width = Math.max(300, place.clientWidth - 18);
  const longest = Math.max(...data.sequences.map(sequence => sequence.name.length));
  const left = Math.min(width * .34, 14 + 7.2 * longest), right = 16, row = 24, top = 8;
  const values = data.sequences.flatMap(sequence => data.methods.map(method => sequence.means[method.name]?.[score]))
    .filter(value => value !== undefined);
  if (!values.length) return place.replaceChildren(make("p", {class: "quiet"}, "No method has this score."));
  let low = Math.min(...values), high = Math.max(...values);
  const margin = (high - low || Math.abs(high) || 1) * .06;
  low -= margin; high += margin;
  const at = value => left + (value - low) / (high - low) * (width - left - right);
  const height = top + row * data.sequences.length + 26;
  const svg = drawn("svg", {viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${measure.title} of every method by sequence; the same numbers stand in the heads of the sequences below`});
  const scale = ticks(low, high, Math.max(3, width / 110));
  for (const value of scale.found) {
    svg.append(drawn("line", {class: "grid", x1: at(value), x2: at(value), y1: top, y2: height - 24}));
    svg.append(drawn("text", {x: at(value), y: height - 8, "text-anchor": "middle"}, value.toFixed(scale.digits)));
  }
  data.sequences.forEach((sequence, index) => {
    const y = top + row * (index + .5), fits = Math.max(4, Math.floor((left - 12) / 7.2));
    const short = sequence.name.length > fits ? sequence.name.slice(0, fits - 1) + "…" : sequence.name;
    const group = drawn("g", {class: "row"});
    group.append(drawn("line", {class: "grid", x1: left, x2: width - right, y1: y, y2: y}));
    group.append(drawn("text", {class: "name", x: left - 8, y: y + 4, "text-anchor": "end"}, short, drawn("title", {}, sequence.name)));
    data.methods.forEach((method, order) => {
      const value = sequence.means[method.name]?.[score];
      if (value !== undefined)
        group.append(mark(order, at(value), y, colorOf(method.name), `${sequence.name}, ${method.name}: ${number(value, score)}`));
    });
    svg.append(group);
  });
  place.replaceChildren(svg);
}

function charts() {
  const scores = [...new Set(data.sequences.flatMap(sequence => Object.values(sequence.means).flatMap(Object.keys)))];
  const ordered = Object.keys(data.measures).filter(score => scores.includes(score));
  byId("measure").append(...ordered.map(score => make("option", {value: score}, data.measures[score].title)));
  const first = data.columns.find(column => ordered.includes(column.score));
  if (first) byId("measure").value = first.score;
  byId("legend").append(...data.methods.map((method, index) => {
    const icon = drawn("svg", {width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true"}, mark(index, 0, 0, colorOf(method.name)));
    return make("span", {}, icon, method.name);
  }));
  if (!ordered.length) return;
  byId("measure").addEventListener("change", chart);
  let waiting = 0;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(chart, 120); });
  chart();
}

/* pictures ---------------------------------------------------------------------------------------------------------- */

function heatOf(canvas, first, second) {
  const width = canvas.width = first.naturalWidth, height = canvas.height = first.naturalHeight;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const pixels = image => { context.drawImage(image, 0, 0, width, height); return context.getImageData(0, 0, width, height); };
  const a = pixels(first).data, shown = pixels(second), b = shown.data;
  for (let k = 0; k < b.length; k += 4) {
    const error = (Math.abs(a[k] - b[k]) + Math.abs(a[k + 1] - b[k + 1]) + Math.abs(a[k + 2] - b[k + 2])) / 765;
    const place = Math.min(1, error / LARGEST_ERROR) * (HEAT.length - 1), stop = Math.min(HEAT.length - 2, Math.floor(place));
    for (let c = 0; c < 3; c++) b[k + c] = HEAT[stop][c] + (place - stop) * (HEAT[stop + 1][c] - HEAT[stop][c]);
    b[k + 3] = 255;
  }
  context.putImageData(shown, 0, 0);
}

/* how many letters of labels as CAMERA/NUMBER are the same folder */
function commonFolder(labels) {
  const length = labels.length ? labels[0].lastIndexOf("/") + 1 : 0;
  return labels.every(label => label.startsWith(labels[0].slice(0, length))) ? length : 0;
}

function nameOf(view, start) {
  return view.albedo ? "albedo" : view.label.slice(start) + (view.seen && view.label !== "seen" ? " (seen)" : "");
}

function captionOf(sequence, method, view) {
  const scores = (sequence.scores[method.name] || {})[view.label] || {};
  const wanted = view.albedo ? ["delta_e", "albedo_psnr_db"] : data.captions;
  return wanted.filter(name => scores[name] !== undefined).map(name => `${data.measures[name].title} ${number(scores[name], name)}`).join(" · ");
}

function comparison(sequence, method, state) {
  const first = make("img", {class: "true"}), second = make("img", {class: "shown"}), canvas = make("canvas", {class: "shown", hidden: true});
  const slider = make("input", {type: "range", min: "0", max: "100", value: "50"});
  const stage = make("div", {class: "stage", style: `--x: 50%; aspect-ratio: ${sequence.aspect}`}, first, second, canvas,
    make("span", {class: "bar"}), make("span", {class: "tag left"}, "truth"), make("span", {class: "tag right"}, method.name), slider);
  const said = make("span", {class: "quiet"});
  slider.addEventListener("input", () => state.move(Number(slider.value)));
  async function show() {
    const view = sequence.views[state.view];
    first.src = url(view.images._true);
    second.src = url(view.images[method.name]);
    first.alt = `The true ${view.albedo ? "albedo" : "picture"} ${view.label} of ${sequence.name}`;
    second.alt = `${method.name}'s ${view.albedo ? "albedo" : "picture"} ${view.label} of ${sequence.name}`;
    slider.setAttribute("aria-label", `${sequence.name}, ${view.label}: share of the truth beside ${method.name}`);
    said.textContent = captionOf(sequence, method, view);
    const heat = byId("heat").checked;
    canvas.hidden = !heat;
    second.hidden = heat;
    if (!heat) return;
    await Promise.all([first.decode(), second.decode()]).catch(() => undefined);
    heatOf(canvas, first, second);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Errors of ${method.name} in ${view.label} of ${sequence.name}`);
  }
  function move(value) {
    slider.value = value;
    stage.style.setProperty("--x", value + "%");
  }
  return {figure: make("figure", {}, stage, make("figcaption", {}, make("b", {}, method.name), said)), show, move};
}

function turning(sequence, method) {
  const turn = sequence.turntables[method.name];
  const slider = make("input", {type: "range", min: "0", max: String(turn.views - 1), value: "0",
    "aria-label": `Turn ${method.name}'s avatar of ${sequence.name}`});
  const stage = make("div", {class: "stage turn", style: `background-image: url(${url(turn.image)}); background-size: ${turn.views * 100}% 100%`}, slider);
  slider.addEventListener("input", () => {
    // by the stage's own width, so that it stays right at any size
    stage.style.backgroundPositionX = 100 * Number(slider.value) / (turn.views - 1) + "%";
  });
  return make("figure", {}, stage, make("figcaption", {}, make("b", {}, method.name)));
}

function fill(body, sequence) {
  const able = data.methods.filter(method => sequence.views.length && sequence.views[0].images[method.name] !== undefined);
  const state = {view: Math.max(0, sequence.views.findIndex(view => !view.seen)), move: value => parts.forEach(part => part.move(value))};
  const parts = able.map(method => comparison(sequence, method, state));
  const start = commonFolder(sequence.views.map(view => view.label));
  const buttons = sequence.views.map((view, index) => make("button", {type: "button", title: view.label, on: {click: () => choose(index)}},
    make("img", {src: url(view.images._true), alt: ""}), make("span", {}, nameOf(view, start))));
  function choose(index) {
    state.view = index;
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === index)));
    parts.forEach(part => part.show());
  }
  const failures = Object.entries(sequence.failed).map(([name, why]) => make("p", {class: "note"}, `${name}: ${why}`));
  const turns = data.methods.filter(method => sequence.turntables[method.name]).map(method => turning(sequence, method));
  body.append(...failures);
  if (able.length) body.append(make("div", {class: "strip", role: "group", "aria-label": `Pictures of ${sequence.name}`}, ...buttons),
    make("div", {class: "compare"}, ...parts.map(part => part.figure)));
  if (turns.length) body.append(make("h3", {}, "The avatars: drag to turn"), make("div", {class: "turns"}, ...turns));
  if (able.length) choose(state.view);
  body.refresh = () => parts.forEach(part => part.show());
}

function pictures() {
  const headline = data.columns.length ? data.columns[0].score : null;
  data.sequences.forEach((sequence, index) => {
    const body = make("div", {class: "body"});
    const said = data.methods.filter(method => sequence.means[method.name])
      .map(method => `${method.name} ${number(sequence.means[method.name][headline], headline)}`).join(" · ");
    const details = make("details", {class: "seq"}, make("summary", {}, make("b", {}, sequence.name), make("span", {class: "quiet"}, said)), body);
    details.addEventListener("toggle", () => {
      if (details.open && !body.childElementCount) fill(body, sequence);
      else if (details.open) body.refresh();
    });
    byId("list").append(details);
    if (index === 0) details.open = true;
  });
  byId("heat").addEventListener("change", () => {
    byId("scale").hidden = !byId("heat").checked;
    document.querySelectorAll("details.seq[open] > .body").forEach(body => body.refresh && body.refresh());
  });
}

function described() {
  const list = (title, pairs) => [make("h3", {}, title),
    make("dl", {}, ...pairs.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]))];
  byId("described").append(...list("Protocol", data.protocol), ...list("Settings", data.settings),
    ...list("Scores", Object.values(data.measures).map(measure => [measure.title, measure.about])));
}

summary();
charts();
pictures();
described();
