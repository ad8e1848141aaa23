function slug(text) {
  return text.toLowerCase().replace(/[^a-z{}]+/g, '-');
}

module.exports = { slug };
