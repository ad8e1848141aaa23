const { slug } = require('../lib/slug');

const users = new Map();

exports.show = (req, res) => {
  res.json(users.get(req.params.id) ?? null);
};

exports.create = async (req, res) => {
  const user = { id: slug(req.body.name), name: req.body.name };
  users.set(user.id, user);
  res.status(201).json(user);
};
