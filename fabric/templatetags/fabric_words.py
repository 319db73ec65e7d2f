"""Words of the fabric for templates."""

from django import template

from fabric.queries import effort_words

register = template.Library()
register.filter("effort", effort_words)
