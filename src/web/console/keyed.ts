/** Lists whose rows stay the same elements while they are updated, so that focus and reading are not disturbed. */

export interface Row<Item> {
  readonly root: HTMLElement;
  update(item: Item): void;
}

/** Makes `parent` show the items in their order. */
export function createRows<Item>(
  parent: HTMLElement,
  keyOf: (item: Item) => string,
  make: (item: Item) => Row<Item>,
): (items: readonly Item[]) => void {
  const rows = new Map<string, Row<Item>>();
  return (items) => {
    const wanted = new Set(items.map(keyOf));
    for (const [key, { root }] of rows) {
      if (wanted.has(key)) continue;
      root.remove();
      rows.delete(key);
    }
    let place = parent.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      let row = rows.get(key);
      if (row === undefined) rows.set(key, (row = make(item)));
      row.update(item);
      // Moving an element takes its focus away, so only what stands elsewhere is moved.
      if (row.root === place) place = place.nextElementSibling;
      else parent.insertBefore(row.root, place);
    }
  };
}
