async function main() {
  console.log('synced');
}

main();
