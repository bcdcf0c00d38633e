"use strict";
// Draws the timeline in #data: rows of slices over time, and the way of each
// request over them. Times are in nanoseconds from the first slice on.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const FIELDS = 6;                    // of a slice: row, begin, length, kind, name, request
  const LABELS = 190, AXIS = 26, ROW = 30, GROUP = 24, GAP = 3;
  const MOST_WAYS = 60;                // drawn at once
  const LEAST_SPAN = 200;              // ns across the screen
  const total = Math.max(data.end, LEAST_SPAN);
  const canvas = document.getElementById("rows"), overview = document.getElementById("overview");
  const tip = document.getElementById("tip"), panel = document.getElementById("way");
  let from = 0, to = total, chosen = -1, colours = {}, drag = null;

  // Rows with their slices, where each is, and how deep it lies in others.
  const count = data.slices.length / FIELDS;
  const at = (slice, field) => data.slices[slice * FIELDS + field];
  const begin = slice => at(slice, 1), end = slice => at(slice, 1) + at(slice, 2);
  const rows = data.rows.map(([group, name]) => ({ group, name, slices: [], latest: [], y: 0 }));
  const depth = new Uint8Array(count);
  const stacks = rows.map(() => []);
  for (let slice = 0; slice < count; slice++) {
    const row = rows[at(slice, 0)], stack = stacks[at(slice, 0)];
    while (stack.length && end(stack[stack.length - 1]) <= begin(slice)) stack.pop();
    depth[slice] = Math.min(stack.length, 3);
    if (at(slice, 2) > 0) stack.push(slice);
    row.slices.push(slice);
    const last = row.latest.length ? row.latest[row.latest.length - 1] : 0;
    row.latest.push(Math.max(last, end(slice)));
  }
  let height = AXIS;
  rows.forEach((row, index) => {
    if (!index || rows[index - 1].group !== row.group) height += GROUP;
    row.y = height;
    height += ROW;
  });
  height += 8;

  // The first index at which a growing list reaches a value.
  const firstAt = (list, value) => {
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] < value) low = middle + 1; else high = middle;
    }
    return low;
  };

  const width = () => canvas.clientWidth;
  const x = time => LABELS + (time - from) / (to - from) * (width() - LABELS);
  const time = x => from + (x - LABELS) / (width() - LABELS) * (to - from);
  const words = ns => {
    const size = Math.abs(ns), sign = ns < 0 ? "-" : "";
    const digits = value => value >= 100 ? value.toFixed(0) : value.toPrecision(3);
    if (size >= 1e9) return sign + digits(size / 1e9) + " s";
    if (size >= 1e6) return sign + digits(size / 1e6) + " ms";
    if (size >= 1e3) return sign + digits(size / 1e3) + " us";
    return sign + size.toFixed(0) + " ns";
  };
  const bytes = count => count % 1024 ? count + " B" : count / 1024 + " KiB";

  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    const named = name => style.getPropertyValue("--" + name).trim();
    for (const name of ["paper", "ink", "faint", "rule", "tint", "less"]) colours[name] = named(name);
    colours.kinds = data.kinds.map((_, kind) => named("k" + kind));
  };

  const context = (target, tall) => {
    const scale = window.devicePixelRatio || 1;
    target.style.height = tall + "px";
    const wide = target.clientWidth;
    if (target.width !== Math.round(wide * scale) || target.height !== Math.round(tall * scale)) {
      target.width = Math.round(wide * scale);
      target.height = Math.round(tall * scale);
    }
    const c = target.getContext("2d");
    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.clearRect(0, 0, wide, tall);
    return c;
  };

  const drawAxis = c => {
    const raw = (to - from) / Math.max(2, (width() - LABELS) / 110);
    const decade = Math.pow(10, Math.floor(Math.log10(raw)));
    const step = decade * [1, 2, 5, 10].find(factor => factor * decade >= raw);
    c.font = "11px system-ui, sans-serif";
    c.textAlign = "center";
    for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) {
      const place = x(tick);
      c.strokeStyle = colours.rule;
      c.lineWidth = 0.7;
      c.beginPath(); c.moveTo(place, AXIS - 6); c.lineTo(place, height); c.stroke();
      c.fillStyle = colours.faint;
      const label = step >= 1e6 ? +(tick / 1e6).toFixed(3) + " ms" : +(tick / 1e3).toFixed(3) + " us";
      if (place > LABELS + 16 && place < width() - 24) c.fillText(label, place, 12);
    }
  };

  const drawLabels = c => {
    c.fillStyle = colours.paper;
    c.fillRect(0, 0, LABELS, height);
    c.textAlign = "left";
    rows.forEach((row, index) => {
      if (!index || rows[index - 1].group !== row.group) {
        c.fillStyle = colours.faint;
        c.font = "600 12px system-ui, sans-serif";
        c.fillText(data.groups[row.group], 0, row.y - 7);
      }
      c.fillStyle = colours.ink;
      c.font = "13px system-ui, sans-serif";
      c.fillText(fit(c, row.name, LABELS - 14), 0, row.y + ROW / 2 + 5);
    });
    c.strokeStyle = colours.rule;
    c.lineWidth = 1;
    c.beginPath(); c.moveTo(LABELS, AXIS); c.lineTo(LABELS, height); c.stroke();
  };

  const fit = (c, text, room) => {
    if (c.measureText(text).width <= room) return text;
    let length = text.length;
    while (length > 1 && c.measureText(text.slice(0, length) + "…").width > room) length--;
    return text.slice(0, length) + "…";
  };

  const box = slice => {
    const row = rows[at(slice, 0)], inset = GAP + depth[slice] * 3;
    return [x(begin(slice)), row.y + inset, Math.max(x(end(slice)) - x(begin(slice)), 0), ROW - 2 * inset];
  };

  const drawRow = (c, row) => {
    c.fillStyle = colours.tint;
    c.fillRect(LABELS, row.y + 1, width() - LABELS, ROW - 2);
    const painted = {};
    for (let index = firstAt(row.latest, from); index < row.slices.length; index++) {
      const slice = row.slices[index];
      if (begin(slice) > to) break;
      if (end(slice) < from) continue;
      const kind = at(slice, 3), [left, top, wide, tall] = box(slice);
      // What lies on the same point already need not be drawn again.
      const key = kind * 4 + depth[slice], right = left + wide;
      if (painted[key] !== undefined && right < painted[key] + 0.4) continue;
      painted[key] = Math.max(right, left + 0.6);
      c.fillStyle = colours.kinds[kind];
      const shown = Math.max(left, LABELS), room = right - shown;
      if (at(slice, 2) > 0) {
        c.globalAlpha = data.faint.includes(kind) ? 0.55 : 0.9;
        c.fillRect(shown, top, Math.max(room, 1.5), tall);
        c.globalAlpha = 1;
        if (room > 42) {
          c.fillStyle = data.faint.includes(kind) ? colours.ink : colours.paper;
          c.font = "11.5px system-ui, sans-serif";
          c.textAlign = "left";
          c.fillText(fit(c, data.names[at(slice, 4)], room - 8), shown + 5, row.y + ROW / 2 + 4);
        }
      } else if (left >= LABELS) {
        drawMoment(c, left, row.y, kind);
      }
    }
  };

  // A moment is a pin: arrivals and issues hang from above, others stand below.
  const drawMoment = (c, left, top, kind) => {
    const above = data.above.includes(kind);
    const tipY = above ? top + ROW - 5 : top + 5, baseY = above ? top + 3 : top + ROW - 3;
    const toward = above ? 1 : -1;
    c.fillRect(left - 0.75, Math.min(tipY, baseY), 1.5, Math.abs(tipY - baseY));
    c.beginPath();
    c.moveTo(left - 4, baseY);
    c.lineTo(left + 4, baseY);
    c.lineTo(left, baseY + toward * 8);
    c.closePath();
    c.fill();
  };

  // Where a step of a way is on the screen.
  const stepPlace = (slice, when) => [x(when), rows[at(slice, 0)].y + ROW / 2];

  const drawWay = (c, request, bold) => {
    const way = data.ways[request];
    c.strokeStyle = c.fillStyle = bold ? colours.ink : colours.faint;
    c.globalAlpha = bold ? 1 : 0.32;
    c.lineWidth = bold ? 1.8 : 1;
    for (let step = 2; step < way.length; step += 2) {
      const [x0, y0] = stepPlace(way[step - 2], way[step - 1]);
      const [x1, y1] = stepPlace(way[step], way[step + 1]);
      const bend = Math.max(14, Math.min(60, Math.abs(x1 - x0) / 2));
      const flat = y0 === y1, sag = flat ? -ROW * 0.75 : 0;
      c.beginPath();
      c.moveTo(x0, y0);
      c.bezierCurveTo(x0 + bend, y0 + sag, x1 - bend, y1 + sag, x1, y1);
      c.stroke();
      const size = bold ? 6 : 4, slope = flat ? 0.5 : 0;
      c.beginPath();
      c.moveTo(x1, y1);
      c.lineTo(x1 - size, y1 - size * (0.55 + slope));
      c.lineTo(x1 - size, y1 + size * (0.55 - slope));
      c.closePath();
      c.fill();
    }
    if (bold) {
      for (let step = 0; step < way.length; step += 2) {
        const [x0, y0] = stepPlace(way[step], way[step + 1]);
        c.beginPath();
        c.arc(x0, y0, 3.2, 0, 7);
        c.fill();
      }
    }
    c.globalAlpha = 1;
  };

  const wayBegins = request => data.ways[request][1];
  const wayEnds = request => data.ways[request][data.ways[request].length - 1];

  const draw = () => {
    const c = context(canvas, height);
    drawAxis(c);
    rows.forEach(row => drawRow(c, row));
    c.save();
    c.beginPath(); c.rect(LABELS, AXIS, width() - LABELS, height); c.clip();
    const seen = [];
    for (let request = 0; request < data.ways.length && seen.length <= MOST_WAYS; request++) {
      const way = data.ways[request];
      if (way.length > 2 && wayEnds(request) >= from && wayBegins(request) <= to) seen.push(request);
    }
    if (seen.length <= MOST_WAYS) seen.forEach(request => drawWay(c, request, false));
    if (chosen >= 0) drawWay(c, chosen, true);
    c.restore();
    drawLabels(c);
    drawOverview();
  };

  // How much happens when, over all of the trace.
  const bins = new Float64Array(600);
  for (let slice = 0; slice < count; slice++) {
    bins[Math.min(bins.length - 1, Math.floor(begin(slice) / total * bins.length))]++;
  }
  const most = Math.max(1, ...bins);
  const drawOverview = () => {
    const tall = 44, c = context(overview, tall), room = width() - LABELS;
    c.font = "12px system-ui, sans-serif";
    c.fillStyle = colours.faint;
    c.fillText(words(total) + " in all", 0, tall / 2 + 4);
    c.fillStyle = colours.tint;
    c.fillRect(LABELS, 0, room, tall);
    c.fillStyle = colours.faint;
    c.globalAlpha = 0.7;
    bins.forEach((value, bin) => {
      const size = Math.sqrt(value / most) * (tall - 6);
      c.fillRect(LABELS + bin / bins.length * room, tall - size, room / bins.length + 0.3, size);
    });
    c.globalAlpha = 1;
    const left = LABELS + from / total * room, wide = Math.max(3, (to - from) / total * room);
    c.fillStyle = colours.less;
    c.globalAlpha = 0.25;
    c.fillRect(left, 0, wide, tall);
    c.globalAlpha = 1;
    c.fillRect(left, 0, 1.5, tall);
    c.fillRect(left + wide - 1.5, 0, 1.5, tall);
  };

  const show = (low, high) => {
    const span = Math.min(Math.max(high - low, LEAST_SPAN), total * 1.05);
    from = Math.min(Math.max(low, -0.02 * total), 1.03 * total - span);
    to = from + span;
    draw();
  };
  const zoom = (factor, around) => show(around - (around - from) * factor, around + (to - around) * factor);
  const move = share => show(from + (to - from) * share, to + (to - from) * share);

  const element = (name, text) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const choose = request => {
    chosen = request;
    panel.replaceChildren();
    if (request < 0) return;
    const [number, operation, sector, size, tagged] = data.requests[request], way = data.ways[request];
    const bio = tagged === null ? "" : tagged ? ", its bio tagged" : ", its bio untagged";
    const heading = `Request ${number}: ${data.operations[operation]} of ${bytes(size)} at sector ${sector}${bio}`;
    panel.append(element("h2", heading + `; ${words(wayEnds(request) - wayBegins(request))} in all`));
    const list = element("ol");
    for (let step = 0; step < way.length; step += 2) {
      const slice = way[step], item = element("li"), card = element("span");
      if (step) item.append(element("em", "+" + words(way[step + 1] - way[step - 1])));
      card.append(element("b", data.names[at(slice, 4)]), rows[at(slice, 0)].name);
      card.style.borderLeftColor = `var(--k${at(slice, 3)})`;
      item.append(card);
      list.append(item);
    }
    panel.append(list);
  };

  // Shows a request with what is around it.
  const visit = request => {
    choose(request);
    const length = Math.max(wayEnds(request) - wayBegins(request), 1000);
    show(wayBegins(request) - 0.35 * length, wayEnds(request) + 0.35 * length);
  };
  const step = by => {
    let next = chosen + by;
    while (next >= 0 && next < data.ways.length && data.ways[next].length < 4) next += by;
    if (next >= 0 && next < data.ways.length) visit(next);
  };

  // The slice at a place of the canvas; the innermost, or the nearest moment.
  const find = (left, top) => {
    const row = rows.find(row => top >= row.y && top < row.y + ROW);
    if (!row || left < LABELS) return -1;
    const now = time(left), slack = (to - from) / (width() - LABELS) * 5;
    let found = -1, best = Infinity;
    for (let index = firstAt(row.latest, now - slack); index < row.slices.length; index++) {
      const slice = row.slices[index];
      if (begin(slice) > now + slack) break;
      const off = Math.max(begin(slice) - now, now - end(slice), 0);
      if (off > slack) continue;
      const rank = off + at(slice, 2) * 1e-6 - depth[slice] * 1e-3;
      if (rank < best) { best = rank; found = slice; }
    }
    return found;
  };

  const place = event => {
    const edges = canvas.getBoundingClientRect();
    return [event.clientX - edges.left, event.clientY - edges.top];
  };

  const hover = event => {
    const slice = find(...place(event));
    tip.hidden = slice < 0;
    if (slice < 0) return;
    const request = at(slice, 5);
    const lines = [data.names[at(slice, 4)], rows[at(slice, 0)].name + ", at " + words(begin(slice))];
    if (at(slice, 2)) lines.push("for " + words(at(slice, 2)));
    if (request >= 0) {
      const [number, operation, sector, size] = data.requests[request];
      lines.push(`request ${number}: ${data.operations[operation]} of ${bytes(size)} at ${sector}`);
    }
    tip.replaceChildren(...lines.map(line => element("div", line)));
    tip.style.left = Math.min(event.pageX + 14, window.innerWidth - 330) + "px";
    tip.style.top = event.pageY + 16 + "px";
  };

  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    drag = { left: event.clientX, from, to, moved: false };
  });
  canvas.addEventListener("pointermove", event => {
    if (!drag) return hover(event);
    const moved = event.clientX - drag.left;
    drag.moved = drag.moved || Math.abs(moved) > 3;
    tip.hidden = true;
    const by = moved / (width() - LABELS) * (drag.to - drag.from);
    if (drag.moved) show(drag.from - by, drag.to - by);
  });
  canvas.addEventListener("pointerup", event => {
    const clicked = drag && !drag.moved;
    drag = null;
    if (!clicked) return;
    const slice = find(...place(event));
    if (slice < 0) return;
    let request = at(slice, 5);
    if (request < 0) request = data.ways.findIndex(way => way.some((value, index) => index % 2 === 0 && value === slice));
    if (request >= 0) { choose(request); draw(); }
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("wheel", event => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(Math.pow(1.0016, event.deltaY), time(place(event)[0]));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      move((event.deltaX || event.deltaY) / 1200);
    }
  }, { passive: false });
  canvas.addEventListener("dblclick", event => zoom(0.3, time(place(event)[0])));
  const seek = event => {
    const edges = overview.getBoundingClientRect();
    const middle = (event.clientX - edges.left - LABELS) / (width() - LABELS) * total, half = (to - from) / 2;
    show(middle - half, middle + half);
  };
  overview.addEventListener("pointerdown", event => { overview.setPointerCapture(event.pointerId); seek(event); });
  overview.addEventListener("pointermove", event => { if (event.buttons) seek(event); });

  const middle = () => (from + to) / 2;
  const actions = {
    "out": () => zoom(2, middle()), "in": () => zoom(0.5, middle()), "all": () => show(0, total),
    "before": () => step(-1), "after": () => step(1),
  };
  for (const [id, action] of Object.entries(actions)) document.getElementById(id).addEventListener("click", action);
  const keys = {
    "-": actions.out, "s": actions.out, "+": actions.in, "=": actions.in, "w": actions.in, "0": actions.all,
    "n": actions.after, "p": actions.before, "ArrowLeft": () => move(-0.15), "a": () => move(-0.15),
    "ArrowRight": () => move(0.15), "d": () => move(0.15),
  };
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });

  readColours();
  if (data.first >= 0) visit(data.first); else show(0, total);
})();
