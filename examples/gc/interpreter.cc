// A small interpreter: what it evaluates, what that leads to and where names are looked up are managed objects.
//
// Programs make cycles at once, here a function that is in the environment that it was made in; with reference counts
// the environment would never go. The interpreter's own code uses locals for what it has in hand and nothing else.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <string>
#include <string_view>

#include <tenure/gc.hpp>

namespace gc = tenure::gc;

namespace {

struct environment;

enum class kind { number, name, pair, function, built_in };

struct value {
  kind is = kind::number;
  long number = 0;  // of a built-in function its letter
  gc::string name;
  gc::member<value> first;  // of a function its parameters
  gc::member<value> rest;   // of a function its body
  gc::member<environment> home;
};
using any = gc::local<value>;  // null is the empty list, and false

struct environment {
  gc::map<gc::string, gc::member<value>, std::less<>> names;
  gc::member<environment> outer;
};

any make_number(long number) {
  any made = gc::make<value>();
  made->number = number;
  return made;
}
any make_name(std::string_view text) {
  any made = gc::make<value>();
  made->is = kind::name;
  made->name = text;
  return made;
}
any make_pair(const any& first, const any& rest) {
  any made = gc::make<value>();
  made->is = kind::pair;
  made->first = first;
  made->rest = rest;
  return made;
}

// Reads one expression and takes it from the text.
any read(std::string_view& text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  if (text.front() == '(') {
    text.remove_prefix(1);
    any items;
    gc::local<value> last;
    for (;;) {
      while (std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
      if (text.front() == ')') break;
      const any added = make_pair(read(text), nullptr);
      if (last) {
        last->rest = added;
      } else {
        items = added;
      }
      last = added;
    }
    text.remove_prefix(1);
    return items;
  }
  const std::size_t end = std::min(text.find_first_of(" \n()"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  if (std::isdigit(static_cast<unsigned char>(word.front())) != 0) return make_number(std::stol(std::string(word)));
  return make_name(word);
}

gc::member<value>* look_up(const gc::local<environment>& in, std::string_view name) {
  for (environment* at = in.get(); at != nullptr; at = at->outer.get()) {
    if (const auto found = at->names.find(name); found != at->names.end()) return &found->second;
  }
  return nullptr;
}

void define(const gc::local<environment>& in, const gc::string& name, const any& what) { in->names[name] = what; }

any evaluate(const any& what, const gc::local<environment>& in);

any apply(const any& function, const any& arguments) {
  if (function->is == kind::built_in) {
    const long a = arguments->first->number;
    const long b = arguments->rest->first->number;
    switch (function->number) {
      case '+':
        return make_number(a + b);
      case '-':
        return make_number(a - b);
      case '*':
        return make_number(a * b);
      default:
        return a < b ? make_number(1) : any();
    }
  }
  const gc::local<environment> inner = gc::make<environment>();
  inner->outer = function->home;
  any argument = arguments;
  for (any parameter = function->first; parameter; parameter = parameter->rest, argument = argument->rest) {
    define(inner, parameter->first->name, argument->first);
  }
  return evaluate(function->rest, inner);
}

any evaluate_all(const any& list, const gc::local<environment>& in) {
  if (!list) return nullptr;
  const any first = evaluate(list->first, in);
  return make_pair(first, evaluate_all(list->rest, in));
}

any evaluate(const any& what, const gc::local<environment>& in) {
  if (!what || what->is == kind::number) return what;
  if (what->is == kind::name) {
    const gc::member<value>* found = look_up(in, what->name);
    return found == nullptr ? any() : any(*found);
  }
  const any arguments = what->rest;
  if (what->first->is == kind::name) {
    const gc::string& form = what->first->name;
    if (form == "define") {
      define(in, arguments->first->name, evaluate(arguments->rest->first, in));
      return nullptr;
    }
    if (form == "lambda") {
      const any function = gc::make<value>();
      function->is = kind::function;
      function->first = arguments->first;
      function->rest = arguments->rest->first;
      function->home = in;
      return function;
    }
    if (form == "if") {
      const bool holds = evaluate(arguments->first, in) != nullptr;
      return evaluate(holds ? arguments->rest->first : arguments->rest->rest->first, in);
    }
  }
  const any function = evaluate(what->first, in);
  return apply(function, evaluate_all(arguments, in));
}

}  // namespace

int main() {
  gc::local<environment> global = gc::make<environment>();
  for (const char letter : {'+', '-', '*', '<'}) {
    const any function = gc::make<value>();
    function->is = kind::built_in;
    function->number = letter;
    define(global, *gc::make<gc::string>(std::string(1, letter)), function);
  }
  const auto run = [&](std::string_view text) {
    any result;
    while (text.find_first_not_of(" \n") != text.npos) result = evaluate(read(text), global);
    return result;
  };
  const any factorial =
      run("(define factorial (lambda (n) (if (< n 2) 1 (* n (factorial (- n 1))))))"
          "(factorial 15)");
  std::printf("factorial 15:  %ld\n", factorial->number);
  const any sum =
      run("(define add (lambda (n) (lambda (m) (+ n m))))"
          "(define repeat (lambda (n f x) (if (< 0 n) (repeat (- n 1) f (f x)) x)))"
          "(repeat 500 (add 7) 0)");
  std::printf("500 times 7:  %ld\n", sum->number);

  const gc::weak<environment> watched(global);
  global = nullptr;
  gc::collect();
  gc::heap::standard().wait_for_destructors();
  std::printf("the program is gone, although its functions lead to it: %s\n", watched.expired() ? "yes" : "no");
}
