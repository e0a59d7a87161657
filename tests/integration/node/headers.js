// Reads `--header "Name: value"` options.

export function readHeaders(lines) {
  return Object.fromEntries(lines.map((line) => {
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error(`--header must be "Name: value", not "${line}"`);
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  }));
}
