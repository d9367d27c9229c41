/** Blanks between columns, as Docker's tables have them. */
const gap = 3;

/** Rows as aligned columns. Every cell but the last is padded; a column is at least `widthMin` wide. */
export function renderColumns(rows: readonly (readonly string[])[], widthMin = 10): string {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) => {
    const cells = rows.filter((row) => row.length > column + 1).map((row) => textWidth(row[column] ?? ""));
    return Math.max(widthMin, Math.max(0, ...cells) + gap);
  });
  return rows
    .map(
      (row) =>
        `${row.map((cell, column) => (column === row.length - 1 ? cell : pad(cell, widths[column] ?? 0))).join("")}\n`,
    )
    .join("");
}

function textWidth(text: string): number {
  return [...text].length;
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - textWidth(text)));
}
