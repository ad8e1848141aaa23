export const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);

export function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
