// Packets of a dispatch or a combine on their way over two nodes: played, stepped, or one token followed.
// The data are those of dualpipe_ref.plot.packets_data; a packet is [tick, kind, from, to, rank, token, rows].

import { element, followTheme, ownRoot, setColours } from "./dom.js";
import { PACKETS_CSS } from "./packets_style.js";
import { RDMA, NVLINK, SUM, ROW, packetsAt, picture, pictureSize, useChart, usedUntil } from "./packets_picture.js";

const TICKS_A_SECOND = 5;
const FLIGHT = { before: 0.6, after: 0.6 }; // a packet of tick k is seen from k - 0.6 to k + 0.6

/** Show `data` in `host`. */
export function mountPackets(host, data) {
  const packets = new Packets(host);
  if (data && data.packets) packets.update(data);
  return { update: (next) => packets.update(next), destroy: () => packets.destroy() };
}

class Packets {
  constructor(host) {
    Object.assign(this, ownRoot(host, PACKETS_CSS));
    this.now = 0; // in ticks; between two of them while it plays
    this.playing = false;
    this.followed = null; // [rank, token]
    this.theme = "light";
    this.build();
    this.endTheme = followTheme((theme) => {
      this.theme = theme;
      this.colour();
    });
    this.sizes = new ResizeObserver(() => this.paint());
    this.sizes.observe(this.holder);
  }

  build() {
    this.sentence = element("p", { class: "sentence", "aria-live": "polite" });
    const button = (words, name, act) => {
      const made = element("button", { type: "button", "aria-label": name, title: name }, words);
      made.addEventListener("click", act);
      return made;
    };
    this.play = button("▶", "Play", () => this.setPlaying(!this.playing));
    this.slider = element("input", { type: "range", min: 0, step: 1, "aria-label": "Tick" });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.told = element("output", {});
    this.choice = element("select", {});
    this.choice.addEventListener("change", () => this.follow(this.choice.value));
    this.tools = element(
      "div",
      { class: "tools" },
      button("◀", "One tick back", () => this.go(Math.ceil(this.now) - 1)),
      this.play,
      button("▶|", "One tick on", () => this.go(Math.floor(this.now) + 1)),
      element("label", { class: "time" }, this.slider, this.told),
      element("label", {}, "Follow", this.choice),
    );
    const svg = () => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      made.setAttribute("role", "img");
      return made;
    };
    [this.picture, this.chart] = [svg(), svg()];
    this.words = element("p", { class: "words" });
    this.legend = element("ul", { class: "legend", "aria-label": "legend" });
    this.table = element("table", {});
    this.root.append(this.sentence, this.tools, this.picture, this.chart, this.words, this.legend, this.table);
  }

  update(data) {
    if (this.data?.way !== data.way) this.now = busiest(data);
    this.data = data;
    if (this.sentence.textContent !== data.sentence) this.sentence.textContent = data.sentence;
    this.now = Math.min(this.now, data.ticks);
    this.slider.max = data.ticks;
    this.fillChoice();
    this.legend.replaceChildren(...legendOf(data));
    this.table.replaceChildren(
      element("tbody", {}, ...data.facts.map(({ label, value, note }) => element("tr", {}, element("th", { scope: "row" }, label), element("td", { class: "value" }, value), element("td", { class: "note" }, note)))),
    );
    this.colour();
    this.paint();
  }

  fillChoice() {
    const names = [["", "all tokens"]];
    this.data.wanted.forEach((mine, rank) => mine.forEach((_, token) => names.push([`${rank}.${token}`, `token ${token} of GPU ${rank}`])));
    this.choice.replaceChildren(...names.map(([value, words]) => element("option", { value }, words)));
    this.follow(names.some(([value]) => value === this.key()) ? this.key() : "");
  }

  key() {
    return this.followed ? this.followed.join(".") : "";
  }

  follow(key) {
    this.followed = key ? key.split(".").map(Number) : null;
    this.choice.value = key;
    this.paint();
  }

  go(tick) {
    this.setPlaying(false);
    this.now = Math.max(0, Math.min(this.data.ticks, tick));
    this.paint();
  }

  setPlaying(yes) {
    if (yes === this.playing) return;
    this.playing = yes;
    this.play.textContent = yes ? "❚❚" : "▶";
    this.play.setAttribute("aria-label", yes ? "Pause" : "Play");
    this.play.title = yes ? "Pause" : "Play";
    if (!yes) return;
    if (this.now >= this.data.ticks) this.now = 0;
    let before = null;
    // Who asked for less motion gets the ticks one by one.
    const jumps = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const start = this.now;
    let passed = 0;
    const frame = (time) => {
      if (!this.playing) return;
      passed += before === null ? 0 : ((time - before) / 1000) * TICKS_A_SECOND;
      before = time;
      const now = Math.min(this.data.ticks, jumps ? Math.floor(start + passed) : start + passed);
      if (now !== this.now) {
        this.now = now;
        this.paint();
      }
      if (this.now >= this.data.ticks) this.setPlaying(false);
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  paint() {
    if (!this.data) return;
    const { data, now, followed } = this;
    const width = Math.max(300, Math.min(this.holder.clientWidth, 900));
    const tick = Math.floor(now + 1e-9);
    this.slider.value = tick;
    this.told.textContent = `tick ${tick} of ${data.ticks}`;
    const flying = packetsAt(data, now, FLIGHT);
    this.size(this.picture, pictureSize(data, width));
    this.picture.innerHTML = picture(data, { width, now, flying, followed, tick });
    this.picture.setAttribute("aria-label", `Two nodes of ${data.gpus} GPUs at tick ${tick}: ${wordsOfTick(data, tick)}`);
    this.size(this.chart, [width, 140]);
    this.chart.innerHTML = useChart(data, { width, now });
    this.chart.setAttribute("aria-label", `Messages over RDMA and over NVLink in each of ${data.ticks} ticks`);
    const words = followed ? wordsOfToken(data, followed, tick) : wordsOfTick(data, tick);
    if (this.words.textContent !== words) this.words.textContent = words;
  }

  size(svg, [width, height]) {
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
  }

  colour() {
    if (!this.data) return;
    const colours = this.data.palettes[this.theme];
    setColours(this.root, colours, this.theme);
    this.root.style.setProperty("--filled", colours.filled);
    this.root.style.setProperty("--on-filled", colours.on_filled);
    this.root.style.setProperty("--added", colours.added);
    this.root.style.setProperty("--on-added", colours.on_added);
  }

  destroy() {
    this.playing = false;
    this.sizes.disconnect();
    this.endTheme();
    this.holder.remove();
  }
}

/** The first tick in which most messages cross RDMA: where there is something to see. */
function busiest({ packets, ticks }) {
  const counts = new Array(ticks + 1).fill(0);
  for (const [tick, kind] of packets) if (kind === RDMA) counts[tick] += 1;
  return counts.indexOf(Math.max(...counts));
}

function wordsOfTick(data, tick) {
  const counts = [0, 0, 0, 0, 0];
  for (const packet of data.packets) if (packet[0] === tick && !(packet[1] === SUM && packet[6] < 2)) counts[packet[1]] += 1;
  const used = usedUntil(data, tick);
  const sum = (list) => list.reduce((one, other) => one + other, 0);
  const rows = data.way === "dispatch" ? "rows put in place" : "tokens home";
  const parts = [`${counts[RDMA]} over RDMA`, `${counts[NVLINK]} over NVLink`, ...(data.way === "combine" ? [`${counts[SUM]} sums`] : []), `${counts[ROW]} ${rows}`];
  return `Tick ${tick}: ${parts.join(", ")}. So far ${sum(used[RDMA])} messages over RDMA, ${sum(used[NVLINK])} over NVLink.`;
}

function wordsOfToken(data, [rank, token], tick) {
  const ours = data.packets.filter((packet) => packet[4] === rank && packet[5] === token && packet[0] <= tick && (packet[1] !== SUM || packet[6] > 1));
  const name = ["RDMA", "NVLink"];
  const said = ours.flatMap(([when, kind, source, target, , , rows]) => {
    if (kind <= NVLINK) return [`${when}: ${source} → ${target} over ${name[kind]}${rows > 1 ? `, ${rows} rows in one` : ""}`];
    if (kind === SUM) return [`${when}: ${target} adds up ${rows}`];
    return kind === ROW ? [`${when}: ${data.way === "dispatch" ? `a row of ${target}` : "home"}`] : [];
  });
  const wanted = data.wanted[rank][token];
  return `Token ${token} of GPU ${rank}, for GPUs ${wanted.join(", ")}. ${said.length ? `By tick: ${said.join("; ")}.` : "Nothing yet."}`;
}

function legendOf(data) {
  const sample = (markup) => {
    const made = element("span", {});
    made.innerHTML = `<svg width="26" height="18" aria-hidden="true">${markup}</svg>`;
    return made;
  };
  const entry = (markup, words) => element("li", {}, sample(markup), words);
  const rows = data.way === "dispatch" ? "rows that have come, of all that will" : "tokens that are home, of all";
  const items = [
    entry('<circle class="packet rdma" cx="13" cy="9" r="6"/>', "message over RDMA"),
    entry('<rect class="packet nvlink" x="9" y="5" width="8" height="8"/>', "message over NVLink"),
    entry('<rect class="gpu" x="4" y="1" width="18" height="16"/><rect class="filled" x="4.5" y="9" width="17" height="7.5"/>', rows),
    entry('<rect class="use" x="1" y="3" width="24" height="5"/><rect class="rdma" x="1" y="3" width="14" height="5"/><rect class="use" x="1" y="11" width="24" height="5"/><rect class="nvlink" x="1" y="11" width="19" height="5"/>', "what this GPU has sent over RDMA, over NVLink"),
  ];
  if (data.way === "combine") items.push(entry('<g class="sum"><rect x="1" y="1" width="24" height="16" rx="3"/><text x="13" y="13">+3</text></g>', "three rows added up"));
  return items;
}

/** anywidget: the model has "data". */
function render({ model, el }) {
  const packets = mountPackets(el, model.get("data"));
  const changed = () => packets.update(model.get("data"));
  model.on("change:data", changed);
  return () => {
    model.off("change:data", changed);
    packets.destroy();
  };
}

export default { render };
