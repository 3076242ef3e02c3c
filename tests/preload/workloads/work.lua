-- Tables, strings, closures and coroutines; prints the results in an order that does not depend on addresses.
local counts = {}
for index = 0, 80000 do
  local key = "key" .. (index * 7919) % 10007
  counts[key] = (counts[key] or 0) + index
end
local keys = {}
for key in pairs(counts) do keys[#keys + 1] = key end
table.sort(keys)
for index = 1, #keys, 50 do print(keys[index], counts[keys[index]]) end

local pieces = {}
for index = 1, 40000 do pieces[#pieces + 1] = string.format("%d:%s", index, string.rep("x", index % 13)) end
local text = table.concat(pieces, ",")
print(#text, select(2, text:gsub("(%d)x", "%1")))

local function permutations(items, size)
  size = size or #items
  if size <= 1 then coroutine.yield(table.concat(items)) end
  for index = 1, size do
    items[index], items[size] = items[size], items[index]
    permutations(items, size - 1)
    items[index], items[size] = items[size], items[index]
  end
end
local seen = {}
for word in coroutine.wrap(function() permutations({"a", "b", "c", "d", "e", "f", "g"}) end) do seen[#seen + 1] = word end
table.sort(seen)
print(#seen, seen[1], seen[2520], seen[5040])

local root
local function insert(node, key)
  if not node then return {key = key} end
  if key < node.key then node.left = insert(node.left, key) else node.right = insert(node.right, key) end
  return node
end
for index = 1, 20000 do root = insert(root, (index * 48271) % 65537) end
local sum, depth = 0, 0
local function walk(node, level)
  if not node then return end
  walk(node.left, level + 1)
  sum = (sum * 31 + node.key) % 2147483647
  if level > depth then depth = level end
  walk(node.right, level + 1)
end
walk(root, 1)
print(sum, depth)
collectgarbage()
for index = 1, 100 do print(index, counts["key" .. index] or "none") end
