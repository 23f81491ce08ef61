// SPDX-License-Identifier: Apache-2.0
// Elements are made here and nowhere else. Text goes in as text nodes: what a report says can never become markup.

type Child = Node | string | null;
type Attributes = Record<string, string | number | boolean | null>;

function fill<E extends Element>(e: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    e.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child !== null) e.append(child);
  }
  return e;
}

export function el<K extends keyof HTMLElementTagNameMap>(
  name: K, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(name), attributes, children);
}

export function svg<K extends keyof SVGElementTagNameMap>(
  name: K, attributes: Attributes = {}, ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const e = document.getElementById(id);
  if (!e) throw new Error(`no element ${id}`);
  return e as E;
}

/** Sets text only when it differs, so that live regions and selections stay quiet. */
export function say(e: Element, text: string): void {
  if (e.textContent !== text) e.textContent = text;
}
