// SPDX-License-Identifier: Apache-2.0
// A list of reports, newest first, that grows at its top by itself and at its end by a button.
import type { Listed } from "./api";
import { byId, say } from "./dom";
import { plural, time } from "./format";

const PAGE = 25;

export interface Paged {
  /** Fetches the newest page; what it returns shows it, above what was asked for before. */
  refresh(domain: string | null): Promise<() => void>;
  /** Another view: nothing is known, and nothing counts as new. */
  forget(): void;
  /** The store was empty: whatever comes is new. */
  empty(): void;
}

export function makePaged<T extends Listed>(buttonId: string, fetch: (limit: number, before: number | null, domain: string | null) => Promise<T[]>,
  show: (items: T[], fresh: boolean) => void, fail: (e: unknown) => void): Paged {
  const button = byId<HTMLButtonElement>(buttonId);
  let list: T[] = [];
  let newestSeen: number | null = null; /* null: nothing loaded yet */
  let of: string | null = null;
  let generation = 0;

  function announce(items: T[]): boolean {
    const top = items[0]?.seq ?? 0;
    const first = newestSeen === null;
    const added = items.filter((r) => r.seq > (newestSeen ?? 0));
    newestSeen = Math.max(top, newestSeen ?? 0);
    if (first || added.length === 0) return false;
    const who = added.length === 1 ? ` from ${added[0]?.org_name ?? "an unnamed reporter"}` : "";
    say(byId("news"), `${added.length === 1 ? "A new report" : `${plural(added.length, "new report")}`}${who}, ${time(new Date())}`);
    return true;
  }

  /* Pages that were asked for with the button stay below the newest one. */
  function merge(first: T[]): void {
    const edge = first[first.length - 1]?.seq;
    const tail = first.length < PAGE || edge === undefined ? [] : list.filter((r) => r.seq < edge);
    button.hidden = first.length < PAGE || (tail.length > 0 && button.hidden);
    list = [...first, ...tail];
  }

  async function refresh(domain: string | null): Promise<() => void> {
    const mine = generation;
    const first = await fetch(PAGE, null, domain);
    return () => {
      if (mine !== generation) return;
      of = domain;
      merge(first);
      show(list, announce(first));
    };
  }

  async function more(): Promise<void> {
    const last = list[list.length - 1];
    const mine = generation;
    if (!last) return;
    try {
      const next = await fetch(PAGE, last.seq, of);
      if (mine !== generation) return;
      list = [...list, ...next];
      button.hidden = next.length < PAGE;
      show(list, false);
      say(byId("news"), next.length > 0 ? `${plural(next.length, "older report")} shown` : "No older reports");
    } catch (e) {
      fail(e);
    }
  }

  function forget(): void {
    generation++;
    list = [];
    newestSeen = null;
  }

  function empty(): void {
    forget();
    newestSeen = 0;
  }

  button.addEventListener("click", () => void more());
  return { refresh, forget, empty };
}
