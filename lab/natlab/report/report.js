"use strict";
(() => {
  const inputs = [...document.querySelectorAll(".filters input")];
  const cells = [...document.querySelectorAll("td.cell")];
  const sections = [...document.querySelectorAll("section.cell")];
  const replays = new Map();
  const chosen = () => inputs.filter((input) => input.checked && input.value);
  const matches = (cell) => chosen().every((input) => cell.classList.contains("is-" + input.id.slice("only-".length)));
  const address = (id) => "#" + [id, ...chosen().map((input) => input.name + "=" + encodeURIComponent(input.value))].filter(Boolean).join("&");
  let opened = "";

  function step(id, by) {
    const at = cells.findIndex((cell) => cell.dataset.cell === id);
    for (let n = 1; n <= cells.length; n++) {
      const cell = cells[(at + by * n + n * cells.length) % cells.length];
      if (matches(cell)) return cell.dataset.cell;
    }
    return id;
  }

  function follow() {
    for (const section of sections) {
      section.classList.toggle("open", section.id === opened);
      if (section.id !== opened) continue;
      section.querySelector(".previous").href = address(step(opened, -1));
      section.querySelector(".next").href = address(step(opened, 1));
    }
  }

  function read(first) {
    const parts = location.hash.slice(1).split("&").filter(Boolean).map((part) => decodeURIComponent(part));
    const place = parts.find((part) => !part.includes("=")) || "";
    const [id, moment] = place.split("@");
    const wanted = new Map(parts.filter((part) => part.includes("=")).map((part) => part.split("=")));
    if (wanted.size || first) {
      for (const input of inputs) input.checked = (wanted.get(input.name) || "") === input.value;
    } else if (chosen().length) {
      location.replace(address(place));
      return;
    }
    for (const replay of replays.values()) replay.pause();
    opened = sections.some((section) => section.id === id) ? id : "";
    follow();
    const target = id && document.getElementById(id);
    if (!target) return;
    const replay = opened && replayOf(target);
    if (replay && moment !== undefined) {
      replay.goTo(Number(moment));
      replay.root.scrollIntoView();
      replay.slider.focus({ preventScroll: true });
    } else {
      target.scrollIntoView();
      target.focus({ preventScroll: true });
    }
  }

  function replayOf(section) {
    if (!replays.has(section.id)) {
      const root = section.querySelector(".replay");
      replays.set(section.id, root && new Replay(section, root));
    }
    return replays.get(section.id);
  }

  const COLUMNS = { host_a: 40, nat_a: 170, internet: 300, nat_b: 430, host_b: 560 };
  const LADDER = { host_a: 150, nat_a: 395, internet: 545, nat_b: 695, host_b: 940 };
  const GOOD = ["delivered", null];
  const PACE = 1400;

  class Replay {
    constructor(section, root) {
      this.section = section;
      this.root = root;
      const data = JSON.parse(section.querySelector(".replay-data").textContent);
      this.steps = data.steps;
      this.data = data.tables;
      this.slider = root.querySelector("input");
      this.output = root.querySelector("output");
      this.text = root.querySelector(".sentence");
      this.dot = root.querySelector(".dot");
      this.trail = root.querySelector(".trail");
      this.end = root.querySelector(".cross");
      this.tables = [...root.querySelectorAll("tbody")];
      this.button = root.querySelector(".play");
      this.timer = 0;
      this.at = -1;
      root.hidden = false;
      this.slider.max = this.steps.length - 1;
      this.slider.addEventListener("input", () => { this.pause(); this.show(Number(this.slider.value), true); });
      root.querySelector(".back-step").addEventListener("click", () => { this.pause(); this.show(this.at - 1, true); });
      root.querySelector(".forth-step").addEventListener("click", () => { this.pause(); this.show(this.at + 1, true); });
      this.button.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
      const ladder = section.querySelector("svg.ladder");
      this.runner = ladder && ladder.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "circle"));
      if (this.runner) { this.runner.setAttribute("class", "runner"); this.runner.setAttribute("r", "7"); }
      this.show(0, false);
    }

    goTo(moment) {
      const later = this.steps.findIndex((each) => each.t > moment + 0.05);
      this.show(later < 0 ? this.steps.length - 1 : Math.max(0, later - 1), false);
    }

    play() {
      if (this.at >= this.steps.length - 1) this.show(0, true);
      this.button.textContent = "pause";
      this.timer = setInterval(() => {
        if (this.at >= this.steps.length - 1) this.pause(); else this.show(this.at + 1, true);
      }, PACE);
    }

    pause() {
      clearInterval(this.timer);
      this.timer = 0;
      this.button.textContent = "play";
    }

    show(wanted, tell) {
      const at = Math.min(Math.max(wanted, 0), this.steps.length - 1);
      const before = this.steps[Math.max(at - 1, 0)];
      this.at = at;
      const now = this.steps[at];
      this.slider.value = at;
      this.slider.setAttribute("aria-valuetext", `step ${at + 1} of ${this.steps.length}, ${now.t} ms: ${now.what}`);
      this.output.textContent = `${now.t.toFixed(1)} ms, step ${at + 1} of ${this.steps.length}`;
      this.text.textContent = `${now.what[0].toUpperCase()}${now.what.slice(1)}: ${now.text}`;
      this.tables.forEach((body, side) => this.fill(body, this.data[now.tables[side]], this.data[before.tables[side]]));
      this.move(now);
      if (tell) history.replaceState(null, "", address(`${this.section.id}@${now.t.toFixed(1)}`));
    }

    fill(body, lines, before) {
      const known = new Set(before.map((line) => line.join("|")));
      body.replaceChildren(...lines.map((line) => {
        const row = document.createElement("tr");
        if (!known.has(line.join("|"))) row.className = "new";
        row.append(...line.map((text) => {
          const data = document.createElement("td");
          data.textContent = text;
          return data;
        }));
        return row;
      }));
      if (lines.length) return;
      const data = document.createElement("td");
      data.colSpan = 4;
      data.textContent = "empty";
      body.insertRow().append(data);
    }

    move(now) {
      const good = GOOD.includes(now.fate);
      const [from, to] = [COLUMNS[now.from], COLUMNS[now.to]];
      for (const part of [this.dot, this.trail, this.end]) part.classList.toggle("bad", !good);
      this.trail.setAttribute("x1", from);
      this.trail.setAttribute("x2", to);
      this.end.style.transform = `translate(${to}px, 50px)`;
      this.end.style.display = good ? "none" : "";
      this.run(this.dot, from, 50, to, 50);
      const ladder = this.section.querySelector("svg.ladder");
      if (!ladder) return;
      for (const group of ladder.querySelectorAll("g.now")) group.classList.remove("now");
      const group = ladder.querySelector(`g[data-row="${now.row}"]`);
      if (!group) return;
      group.classList.add("now");
      const line = group.querySelector(".path");
      const place = (node) => {
        const [x1, y1, x2, y2] = ["x1", "y1", "x2", "y2"].map((name) => Number(line.getAttribute(name)));
        const share = x2 === x1 ? 1 : Math.min(Math.max((LADDER[node] - x1) / (x2 - x1), 0), 1);
        return [x1 + share * (x2 - x1), y1 + share * (y2 - y1)];
      };
      this.run(this.runner, ...place(now.from), ...place(now.to));
    }

    run(dot, x1, y1, x2, y2) {
      dot.style.transition = "none";
      dot.style.transform = `translate(${x1}px, ${y1}px)`;
      dot.getBoundingClientRect();
      dot.style.transition = "";
      dot.style.transform = `translate(${x2}px, ${y2}px)`;
    }
  }

  for (const input of inputs) input.addEventListener("change", () => {
    const hash = address(opened);
    if (hash === "#") history.replaceState(null, "", "#"); else location.replace(hash);
    follow();
  });
  // Else the browser would open the list of steps and go there, away from the replay of that moment.
  for (const step of document.querySelectorAll("ol.steps li")) step.removeAttribute("id");
  addEventListener("hashchange", () => read(false));
  read(true);
})();
