-- The work that lua does in the benchmark; prints sums that must not depend on the allocator.
local seed = 42
local function random(bound)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return (seed // 65536) % bound
end

local function build(depth)
  if depth == 0 then return { weight = 1 } end
  return { left = build(depth - 1), right = build(depth - 1), weight = depth }
end

local function weigh(node)
  if not node.left then return node.weight end
  return node.weight + weigh(node.left) + weigh(node.right)
end

local function words(count)
  local list = {}
  for index = 1, count do
    local letters = {}
    for position = 1, 3 + random(12) do letters[position] = string.char(97 + random(26)) end
    list[index] = table.concat(letters)
  end
  return list
end

local function counters(count)
  local made = {}
  for index = 1, count do
    local sum = 0
    made[index] = function(step) sum = sum + step * index; return sum end
  end
  return made
end

local rounds = tonumber(arg[1])
local total = 0
for round = 1, rounds do
  total = total + weigh(build(14))
  local list = words(12000)
  table.sort(list)
  local joined = table.concat(list, " ")
  local seen = {}
  for word in joined:gmatch("%a+") do seen[word] = (seen[word] or 0) + 1 end
  for word, count in pairs(seen) do total = total + #word * count end
  for _, counter in ipairs(counters(30000)) do total = total + counter(round) % 7 end
  total = total + #joined:gsub("a", "<a>"):upper()
end
print(total)
