// The cards of the sessions' screens: a canvas, a veil over it while it is not
// live, figures.

import { Rate } from "./rate.js";

const keepGone = 5000; // ms that a session's last picture stays after it has gone

export class Screens {
  #root;
  #template;
  #empty;
  #cards = new Map(); // session id -> card
  #indexes = new Map(); // index in updates -> card

  constructor(document) {
    this.#root = document.getElementById("sessions");
    this.#template = document.getElementById("session-card");
    this.#empty = document.getElementById("empty");
  }

  // update shows these sessions; others go, after a while.
  update(sessions) {
    const there = new Set();
    this.#indexes.clear();
    for (const s of sessions) {
      there.add(s.id);
      let card = this.#cards.get(s.id);
      if (!card) this.#cards.set(s.id, (card = new Card(this.#template, s.id)));
      card.returned();
      card.figures(s);
      this.#indexes.set(s.index, card);
    }
    for (const [id, card] of this.#cards) if (!there.has(id)) card.leave(() => this.#remove(id));
    this.#arrange(sessions.map((s) => s.id));
    this.#empty.hidden = this.#cards.size > 0;
  }

  // draw puts an update on its canvas; one of a session unknown by now is dropped.
  draw(update) {
    this.#indexes.get(update.index)?.draw(update);
  }

  // measure shows what came since it was called last.
  measure() {
    for (const card of this.#cards.values()) card.measure();
  }

  // lost veils everything: the connection is down, the pictures stay.
  lost() {
    this.#indexes.clear();
    for (const card of this.#cards.values()) {
      card.returned();
      card.veil("reconnecting");
    }
  }

  clear() {
    for (const card of this.#cards.values()) card.remove();
    this.#cards.clear();
    this.#indexes.clear();
    this.#empty.hidden = true;
  }

  #remove(id) {
    this.#cards.get(id)?.remove();
    this.#cards.delete(id);
    this.#empty.hidden = this.#cards.size > 0;
  }

  #arrange(ids) {
    ids.forEach((id, i) => {
      const element = this.#cards.get(id).element;
      if (this.#root.children[i] !== element) this.#root.insertBefore(element, this.#root.children[i] ?? null);
    });
  }
}

class Card {
  #canvas;
  #context;
  #veil;
  #leaving = 0;
  #drawn = new Rate(); // frames
  #received = new Rate(); // bytes

  constructor(template, id) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.id = "session-" + id;
    this.#canvas = this.#find("canvas");
    this.#canvas.id = "screen-" + id;
    this.#canvas.setAttribute("aria-label", title(id) + ", picture");
    // Frames are written from memory, so the canvas is better kept there too.
    this.#context = this.#canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.#veil = this.#find(".veil");
    this.#find(".name").textContent = title(id);
    this.#find(".full").setAttribute("aria-label", title(id) + ", full screen");
    this.#find(".full").onclick = () => this.#find(".screen").requestFullscreen();
    this.veil("waiting");
    this.measure();
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  figures(s) {
    this.#canvas.dataset.fps = s.fps;
    this.#find(".fps").title = `the agent sends ${s.fps.toFixed(0)}`;
    this.#find(".size").textContent = s.width ? `${s.width} × ${s.height}` : "";
    this.#find(".frames").textContent = s.frames.toLocaleString("en");
  }

  measure() {
    const received = Math.round(this.#received.take());
    this.#canvas.dataset.bps = received;
    this.#find(".fps").textContent = this.#drawn.take().toFixed(0);
    this.#find(".bps").textContent = bytes(received);
  }

  draw(u) {
    if (this.#canvas.width !== u.width || this.#canvas.height !== u.height) {
      this.#canvas.width = u.width;
      this.#canvas.height = u.height;
    }
    for (const r of u.rects) this.#context.putImageData(new ImageData(r.pixels, r.w, r.h), r.x, r.y);
    this.#canvas.dataset.seq = u.seq;
    this.#drawn.add(1);
    this.#received.add(u.bytes);
    if (this.element.dataset.state !== "live") this.element.dataset.state = "live";
  }

  veil(state) {
    if (state === "reconnecting" && this.element.dataset.state === "waiting") return;
    this.element.dataset.state = state;
    this.#veil.textContent = state === "waiting" ? "waiting for the first picture" : state;
  }

  leave(gone) {
    if (this.#leaving) return;
    this.veil("reconnecting");
    this.#leaving = setTimeout(gone, keepGone);
  }

  returned() {
    clearTimeout(this.#leaving);
    this.#leaving = 0;
  }

  remove() {
    this.returned();
    this.element.remove();
  }
}

// title names a stream: "1" is the first screen of session 1, "1.1" the second.
function title(id) {
  const [session, screen] = id.split(".");
  return screen ? `Session ${session}, screen ${Number(screen) + 1}` : "Session " + session;
}

function bytes(n) {
  if (n < 1000) return n + " B/s";
  if (n < 1e6) return (n / 1e3).toFixed(0) + " kB/s";
  return (n / 1e6).toFixed(1) + " MB/s";
}
