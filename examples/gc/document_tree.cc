// A document whose parts point at one another in all directions: parents, children, links, a cache of what was found.
// With shared_ptr, the links back would have to be weak or the document would never go away.
#include <tenure/gc.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace gc = tenure::gc;

struct paragraph;

struct section {
  std::string title;
  gc::member<section> parent;
  gc::member<section> first_child;
  gc::member<section> next;
  gc::member<paragraph> text;
};

struct paragraph {
  std::string words;
  gc::member<section> in;
  gc::member<paragraph> refers_to;  // anywhere in the document, and back
};

gc::local<section> add_section(const gc::local<section>& parent, std::string title) {
  gc::local<section> made = gc::make<section>();
  made->title = std::move(title);
  if (parent) {
    made->parent = parent;
    made->next = parent->first_child;
    parent->first_child = made;
  }
  made->text = gc::make<paragraph>();
  made->text->in = made;
  return made;
}

int main() {
  gc::root<section> document(add_section(nullptr, "Book"));
  gc::local<section> one = add_section(document, "One");
  gc::local<section> two = add_section(document, "Two");
  one->text->refers_to = two->text;
  two->text->refers_to = one->text;

  std::vector<gc::weak<paragraph>> found{gc::weak<paragraph>(one->text), gc::weak<paragraph>(two->text)};

  // Cut a section out. Its paragraph is still referred to, and keeps what it needs.
  document->first_child = one;
  one->next = nullptr;
  two = nullptr;
  gc::collect();
  std::printf("cut out, referred to: %s\n", found[1].lock()->in->title.c_str());

  // The last reference goes; the ring of references goes with it.
  one->text->refers_to = nullptr;
  gc::collect();
  std::printf("after the reference:  %s\n", found[1].expired() ? "gone" : "there");

  // What waits for its destructor still keeps what it leads to.
  gc::heap::standard().wait_for_destructors();
  document = nullptr;
  one = nullptr;
  gc::collect();
  gc::heap::standard().wait_for_destructors();
  std::printf("after the document:   %llu destructors ran\n",
              static_cast<unsigned long long>(gc::heap::standard().statistics().destroyed));
  return found[0].expired() ? 0 : 1;
}
