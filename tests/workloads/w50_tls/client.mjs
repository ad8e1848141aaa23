// Twelve requests one after another, then eight at once, over whatever connections fetch takes.
const base = `https://localhost:${process.argv[2]}`;
for (let i = 0; i < 12; i++) await (await fetch(`${base}/s/${i}`)).text();
await Promise.all([...Array(8).keys()].map(async (i) => (await fetch(`${base}/p/${i}`)).text()));
const big = await (await fetch(`${base}/big`)).text();
if (big.length !== 300000) process.exit(1);
process.exit(0);
