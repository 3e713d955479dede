# GitHub colours a line of a diff by its first character, and Pulumi indents its signs: so a sign comes first as well,
# and ! where Pulumi's own (+- is replaced, ~ changed) has no colour.
s/^ ?( *)(\+-|~)/!\1\2/
s/^ ( *)([-+])/\2\1\2/
