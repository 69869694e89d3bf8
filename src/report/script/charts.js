// Draws a page's charts from the data beside each, with uPlot: hover and arrow keys say values, dragging zooms, Escape
// and the button reset, the legend's buttons take series away. Fetches nothing and keeps nothing. Where it does not
// run, the still pictures stay; on paper they are what is printed.
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const grouped = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  // Three figures that count: 1.23, 12.3, 123.
  const three = (value) => {
    const size = Math.abs(value);
    if (size >= 1000) return grouped(value);
    const places = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(size)));
    return String(Number(value.toFixed(places)));
  };
  const scaled = (value, steps) => {
    if (value === 0) return "0";
    const [size, unit] = steps.find(([size]) => Math.abs(value) >= size * 0.9995) || steps[steps.length - 1];
    return `${three(value / size)} ${unit}`;
  };
  const TIME = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const BYTES = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]];
  const COUNT = [[1e6, "M"], [1e3, "k"]];
  const percentile = (x) => {
    const beyond = 10 ** -x * 100;
    const places = x <= 0 ? 0 : Math.max(0, Math.ceil(x - 2 + 1e-9)) + (x > 1.9 ? 1 : 0);
    return `${Number((100 - beyond).toFixed(places))} %`;
  };
  // What a value is called; `tick` is for axes, which have less room than a tool tip.
  const written = (axis, value, tick) => {
    switch (axis.unit) {
      case "percentile": return percentile(value);
      case "ns": return scaled(value, TIME);
      case "us": return scaled(value * 1e3, TIME);
      case "ms": return scaled(value * 1e6, TIME);
      case "moment": return tick ? String(value) : `${value.toFixed(3)} s`;
      case "s": return tick ? three(value) : `${three(value)} s`;
      case "bytes": return scaled(value, BYTES);
      case "percent": return tick ? three(value) : `${three(value)} %`;
      default: return tick && Math.abs(value) >= 1e3 ? scaled(value, COUNT).replace(" ", "") : three(value);
    }
  };
  // Where a value stands on its axis, and back. Percentiles arrive as log10(1/(1-p)).
  const placed = (axis, value) => (axis.log ? Math.log10(Math.max(value, 1e-9)) : value);
  const raw = (axis, place) => (axis.log ? 10 ** place : place);

  const even = (low, high, wanted) => {
    const rough = Math.max((high - low) / wanted, 1e-12);
    const decade = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((s) => s * decade).find((s) => s >= rough * 0.9999);
    const ticks = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) ticks.push(Number((n * step).toPrecision(12)));
    return ticks;
  };
  const logarithmic = (low, high) => {
    const span = high - low;
    if (span < 0.8) return even(10 ** low, 10 ** high, 4).filter((v) => v > 0).map(Math.log10);
    const steps = span > 3.5 ? [1] : span > 1.4 ? [1, 3] : [1, 2, 5];
    const ticks = [];
    for (let decade = Math.floor(low); decade <= high; decade += 1) {
      for (const step of steps) ticks.push(decade + Math.log10(step));
    }
    return ticks.filter((tick) => tick >= low - 1e-9 && tick <= high + 1e-9);
  };
  // Percentiles whose distance from 100 % is round: 50, 80, 90, 95, 98, 99, …
  const percentiles = (low, high) => {
    const steps = high - low > 2 ? [1] : high - low > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
    const ticks = [];
    for (let nines = 0; nines <= Math.ceil(high) + 1; nines += 1) {
      for (const step of steps) ticks.push(nines - Math.log10(step));
    }
    return ticks.filter((tick) => tick >= low - 1e-9 && tick <= high + 1e-9).sort((a, b) => a - b);
  };
  const splits = (axis, low, high, wanted) => {
    if (axis.unit === "percentile") return percentiles(low, high);
    return axis.log ? logarithmic(low, high) : even(low, high, wanted);
  };
  // Labels along the bottom, without those that would run into the one before.
  const roomy = (u, ticks, labels) => {
    let end = -Infinity;
    return labels.map((label, place) => {
      const middle = u.valToPos(ticks[place], "x");
      const half = label.length * 3.4 + 3;
      if (middle - half < end) return "";
      end = middle + half;
      return label;
    });
  };
  // A series' colour, lightened where it would drown in the dark.
  const shown = (colour) => {
    const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    const light = (0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]) / 255;
    if (!dark.matches || light > 0.4) return colour;
    const mixed = parts.map((part) => Math.round(part + (255 - part) * 0.45));
    return `rgb(${mixed.join(",")})`;
  };
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  class Chart {
    constructor(figure, data) {
      this.figure = figure;
      this.data = data;
      this.hidden = new Set();
      this.at = null;
      this.plots = [];
      this.frame = make("div", "live");
      this.frame.tabIndex = 0;
      this.frame.setAttribute("role", "application");
      this.frame.setAttribute("aria-roledescription", "chart");
      this.frame.setAttribute("aria-label", figure.querySelector("svg").getAttribute("aria-label"));
      this.frame.setAttribute("aria-describedby", "chart-help");
      this.tip = make("div", "tip");
      this.tip.hidden = true;
      this.tip.setAttribute("aria-hidden", "true");
      this.said = make("p", "said");
      this.said.setAttribute("aria-live", "polite");
      this.panels = data.panels.map((panel) => this.prepare(panel));
      const all = this.panels.flatMap((panel) => panel.table[0]);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      const margin = data.dots ? (high - low) * 0.04 || 0.05 : 0;
      this.whole = [low - margin, high + margin];
      this.range = this.whole;
      const under = make("div", "under");
      const legend = this.legend();
      under.append(this.said, this.button);
      figure.prepend(make("p", "chart-title", data.title), legend, this.frame, under);
      figure.classList.add("drawn");
      this.panels.forEach((panel, place) => this.plots.push(this.plot(panel, place + 1 === this.panels.length)));
      this.frame.append(this.tip);
      this.frame.addEventListener("keydown", (event) => this.key(event));
      this.frame.addEventListener("mouseleave", () => this.leave());
      this.frame.addEventListener("blur", () => this.leave());
      new ResizeObserver(() => this.resize()).observe(this.frame);
    }

    // uPlot wants one list of places for all series of a panel. `null` breaks a line (mode 2: also across the holes beside
    // it), a hole that joining made does not.
    prepare(panel) {
      const tables = panel.series.map((series) => [
        series.x.map((x) => placed(this.data.x, x)),
        series.y.map((y) => (y === null ? null : placed(panel.y, y))),
      ]);
      return { ...panel, table: uPlot.join(tables, tables.map(() => [1, 2])) };
    }

    legend() {
      const group = make("div", "legend");
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", "Series shown");
      const seen = new Map();
      for (const panel of this.panels) for (const series of panel.series) seen.set(series.name, series.colour);
      this.swatches = [];
      for (const [name, colour] of seen) {
        const button = make("button");
        button.type = "button";
        button.setAttribute("aria-pressed", "true");
        const swatch = make("span", "swatch");
        swatch.setAttribute("aria-hidden", "true");
        swatch.style.background = shown(colour);
        this.swatches.push([swatch, colour]);
        button.append(swatch, name);
        button.addEventListener("click", () => this.toggle(name, button));
        group.append(button);
      }
      this.button = make("button", "reset", "Reset zoom");
      this.button.type = "button";
      this.button.disabled = true;
      this.button.addEventListener("click", () => this.zoom(this.whole));
      return group;
    }

    width() { return Math.max(this.frame.clientWidth, 200); }

    height(last) {
      const single = this.panels.length === 1;
      return (single ? (this.width() < 500 ? 300 : 380) : 128) + (last ? 46 : 0);
    }

    plot(panel, last) {
      if (panel.title) this.frame.append(make("p", "panel-title", panel.title));
      const axis = (description, along, side) => ({
        side,
        stroke: () => style("--ink"),
        grid: { stroke: () => style("--grid"), width: 1 },
        ticks: { stroke: () => style("--grid"), width: 1 },
        font: "12px system-ui, sans-serif",
        splits: (u, place, low, high) => splits(description, low, high, along),
        values: (u, ticks) => {
          const labels = ticks.map((tick) => written(description, raw(description, tick), true));
          return side === 2 ? roomy(u, ticks, labels) : labels;
        },
      });
      const single = this.panels.length === 1;
      const narrow = this.width() < 500;
      const options = {
        width: this.width(),
        padding: [8, 30, last ? 0 : 9, 0],
        height: this.height(last),
        legend: { show: false },
        scales: {
          x: { time: false, range: () => this.range },
          y: { range: (u, low, high) => this.reach(panel.y, low, this.data.together ? this.highest() : high) },
        },
        axes: [
          { ...axis(this.data.x, narrow ? 4 : 8, 2), show: last, size: 44, label: this.data.x.label, labelSize: 18,
            labelFont: "12px system-ui, sans-serif", space: 56 },
          { ...axis(panel.y, single ? 5 : 2, 3), size: 66, label: single ? panel.y.label : undefined, labelSize: 18,
            labelFont: "12px system-ui, sans-serif", space: 18 },
        ],
        series: [{}, ...panel.series.map((series) => ({
          label: series.name,
          stroke: () => shown(series.colour),
          width: 2,
          paths: this.data.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
          points: { show: this.data.dots, size: 7, fill: () => shown(series.colour) },
          show: !this.hidden.has(series.name),
        }))],
        cursor: {
          y: false,
          drag: { x: true, y: false, setScale: false, dist: 6 },
          dataIdx: (u, series, hovered) => this.nearest(u, series, hovered),
          bind: { dblclick: () => () => this.zoom(this.whole) },
          points: { size: 8 },
        },
        hooks: {
          drawClear: [(u) => this.bands(u, panel)],
          setCursor: [(u) => this.moved(u)],
          setSelect: [(u) => this.selected(u)],
        },
      };
      return new uPlot(options, panel.table, this.frame);
    }

    // How far the vertical axis reaches for what is to be seen.
    reach(axis, low, high) {
      if (low === null || low === undefined || !Number.isFinite(low)) return [0, 1];
      if (!axis.log) return [0, high > 0 ? high * 1.06 : 1];
      const room = Math.max((high - low) * 0.06, 0.05);
      return [low - room, high + room];
    }

    // The highest value to be seen in any panel, where one scale is for all of them.
    highest() {
      let most = 0;
      for (const { table, series } of this.panels) {
        series.forEach(({ name }, number) => {
          if (this.hidden.has(name)) return;
          table[0].forEach((x, place) => {
            if (x >= this.range[0] && x <= this.range[1]) most = Math.max(most, table[number + 1][place] || 0);
          });
        });
      }
      return most;
    }

    // Which arm was running, behind its line, also where the line lies on the ground.
    bands(u, panel) {
      if (!this.data.bands) return;
      const { left, top, width, height } = u.bbox;
      panel.series.forEach((series) => {
        if (this.hidden.has(series.name)) return;
        u.ctx.save();
        u.ctx.globalAlpha = 0.13;
        u.ctx.fillStyle = shown(series.colour);
        let begin = null;
        series.x.forEach((x, place) => {
          if (series.y[place] !== null && begin === null) begin = x;
          const ends = place + 1 === series.x.length || series.y[place + 1] === null;
          if (series.y[place] !== null && ends) {
            const pixel = (at) => Math.min(Math.max(u.valToPos(placed(this.data.x, at), "x", true), left), left + width);
            u.ctx.fillRect(pixel(begin), top, pixel(x) - pixel(begin), height);
            begin = null;
          }
        });
        u.ctx.restore();
      });
    }

    // A series has no value at places that only another one has: the nearest within a finger's breadth counts.
    nearest(u, series, hovered) {
      if (series === 0) return hovered;
      if (this.data.steps) return this.held(u, u.posToVal(u.cursor.left, "x"));
      const [places, values] = [u.data[0], u.data[series]];
      const here = u.valToPos(places[hovered], "x");
      for (let far = 0; far < places.length; far += 1) {
        let beyond = true;
        for (const place of [hovered - far, hovered + far]) {
          if (place < 0 || place >= places.length) continue;
          if (Math.abs(u.valToPos(places[place], "x") - here) > 12) continue;
          beyond = false;
          if (values[place] !== null && values[place] !== undefined) return place;
        }
        if (beyond) break;
      }
      return null;
    }

    // Of steps the one that holds at `x`: the last that begins no later.
    held(u, x) {
      const places = u.data[0];
      let [low, high] = [0, places.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (places[middle] <= x + 1e-9) low = middle + 1; else high = middle;
      }
      return low === 0 ? null : low - 1;
    }

    // A pointer moved in one panel: the others follow.
    moved(u) {
      if (this.following) return;
      if (u.cursor.idx === null || u.cursor.idx === undefined || u.cursor.left < 0) {
        this.tip.hidden = true;
        return;
      }
      this.at = this.data.steps ? Math.max(this.whole[0], u.posToVal(u.cursor.left, "x")) : u.data[0][u.cursor.idx];
      this.follow(u);
      this.tell(u, u.cursor.left);
    }

    follow(leader) {
      this.following = true;
      for (const plot of this.plots) {
        if (plot !== leader) plot.setCursor({ left: plot.valToPos(this.at, "x"), top: 10 });
      }
      this.following = false;
    }

    values() {
      return this.plots.flatMap((plot, place) => {
        const panel = this.panels[place];
        return panel.series.flatMap((series, number) => {
          const pointed = plot.cursor.idxs ? plot.cursor.idxs[number + 1] : null;
          const index = this.data.steps ? this.held(plot, this.at) : pointed;
          if (index === null || index === undefined || this.hidden.has(series.name)) return [];
          const value = written(panel.y, raw(panel.y, plot.data[number + 1][index]), false);
          // A panel that is one series' own need not name it twice.
          const title = panel.title.startsWith(`${series.name}: `) ? panel.title.slice(series.name.length + 2) : panel.title;
          const figure = title ? `${title}: ` : "";
          return [{ name: series.name, colour: series.colour, figure, value }];
        });
      });
    }

    place() { return written(this.data.x, raw(this.data.x, this.at), false); }

    tell(u, left) {
      const values = this.values();
      this.tip.replaceChildren(make("strong", "", this.place()));
      // Over several panels a series is named once, its figures below it.
      const stacked = this.panels.length > 1;
      const order = [...new Set(values.map(({ name }) => name))];
      for (const name of order) {
        const own = values.filter((each) => each.name === name);
        const row = make("div");
        const swatch = make("span", "swatch");
        swatch.style.background = shown(own[0].colour);
        row.append(swatch, `${name} `);
        this.tip.append(row);
        for (const { figure, value } of own) {
          if (stacked) this.tip.append(make("div", "", `${figure}${value}`));
          else row.append(make("b", "", value));
        }
      }
      this.tip.hidden = values.length === 0;
      const across = u.root.offsetLeft + u.over.offsetLeft + left;
      const room = this.frame.clientWidth - this.tip.offsetWidth;
      const wanted = across + 14 > room ? across - this.tip.offsetWidth - 14 : across + 14;
      this.tip.style.left = `${Math.max(0, Math.min(wanted, room))}px`;
      this.tip.style.top = `${this.plots[0].over.offsetTop + 8}px`;
    }

    leave() { this.tip.hidden = true; }

    selected(u) {
      if (u.select.width < 6) return;
      const from = u.posToVal(u.select.left, "x");
      const to = u.posToVal(u.select.left + u.select.width, "x");
      u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      this.zoom([from, to]);
    }

    zoom(range) {
      this.range = range;
      this.button.disabled = range === this.whole;
      for (const plot of this.plots) plot.setScale("x", { min: range[0], max: range[1] });
      this.said.textContent = range === this.whole
        ? "The whole chart is shown."
        : `Zoomed from ${written(this.data.x, raw(this.data.x, range[0]), false)} to ${written(this.data.x, raw(this.data.x, range[1]), false)}.`;
    }

    toggle(name, button) {
      const shows = this.hidden.has(name);
      if (shows) this.hidden.delete(name); else this.hidden.add(name);
      button.setAttribute("aria-pressed", String(shows));
      this.plots.forEach((plot, place) => {
        this.panels[place].series.forEach((series, number) => {
          if (series.name === name) plot.setSeries(number + 1, { show: shows });
        });
      });
      // What one panel loses may be what the others' scale was for.
      if (this.data.together) for (const plot of this.plots) plot.setScale("x", { min: this.range[0], max: this.range[1] });
    }

    key(event) {
      const places = [...new Set(this.panels.flatMap((panel) => panel.table[0]))]
        .filter((x) => x >= this.range[0] - 1e-9 && x <= this.range[1] + 1e-9).sort((a, b) => a - b);
      if (places.length === 0 && event.key !== "Escape") return;
      let now = this.at === null ? -1 : places.findIndex((x) => x >= this.at - 1e-9);
      if (now === -1 && this.at !== null) now = places.length;
      const centre = this.at === null ? (this.range[0] + this.range[1]) / 2 : this.at;
      const half = (this.range[1] - this.range[0]) / 4;
      switch (event.key) {
        case "ArrowLeft": this.go(places[Math.max(0, now - 1)]); break;
        case "ArrowRight": this.go(places[Math.min(places.length - 1, now + 1)]); break;
        case "PageUp": this.go(places[Math.max(0, now - 10)]); break;
        case "PageDown": this.go(places[Math.min(places.length - 1, now + 10)]); break;
        case "Home": this.go(places[0]); break;
        case "End": this.go(places[places.length - 1]); break;
        case "+": this.zoom([Math.max(centre - half, this.whole[0]), Math.min(centre + half, this.whole[1])]); break;
        case "-": case "Escape": case "0": this.zoom(this.whole); break;
        default: return;
      }
      event.preventDefault();
    }

    go(x) {
      this.at = x;
      this.follow(null);
      const first = this.plots[0];
      this.tell(first, first.valToPos(x, "x"));
      const said = this.values().map(({ name, figure, value }) => `${name} ${figure}${value}`);
      this.said.textContent = `At ${this.place()}: ${said.join(", ") || "no value"}.`;
    }

    resize() {
      const width = this.width();
      if (width === this.plots[0].width) return;
      this.plots.forEach((plot, place) => plot.setSize({ width, height: this.height(place + 1 === this.plots.length) }));
    }

    recolour() {
      for (const [swatch, colour] of this.swatches) swatch.style.background = shown(colour);
      for (const plot of this.plots) plot.redraw(false, true);
    }
  }

  const charts = [...document.querySelectorAll("figure > script[type='application/json']")]
    .map((script) => new Chart(script.parentElement, JSON.parse(script.textContent)));
  const help = document.getElementById("chart-help");
  if (charts.length > 0) {
    charts[0].figure.before(help);
    help.hidden = false;
  }
  // What scrolls sideways can be scrolled by keys; what does not is no stop on their way.
  const reachable = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      if (box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        if (!box.hasAttribute("aria-label")) box.setAttribute("aria-label", "Table, scrolls sideways");
      } else {
        box.removeAttribute("tabindex");
      }
    }
  };
  reachable();
  addEventListener("resize", reachable);
  for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", reachable);
  dark.addEventListener("change", () => charts.forEach((chart) => chart.recolour()));
})();
