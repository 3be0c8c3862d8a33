// A Rate counts, and answers how much it was in a second.
export class Rate {
  #sum = 0;
  #since = performance.now();

  add(n) {
    this.#sum += n;
  }

  // take answers the mean since it was asked last, and begins anew.
  take() {
    const now = performance.now();
    const mean = (this.#sum * 1000) / Math.max(now - this.#since, 1);
    this.#sum = 0;
    this.#since = now;
    return mean;
  }
}
